package failover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const mostNear = 3 // names that an error offers instead of an unknown one

// unknownSubject says that there is no such subject, and what is nearly so called.
func unknownSubject(name string, known []string) error {
	type candidate struct {
		name string
		far  int
	}
	var near []candidate
	for _, other := range known {
		far := distance(name, other)
		if strings.Contains(other, name) || strings.HasSuffix(other, "/"+name) {
			far = 1
		}
		if far <= max(2, len(name)/4) {
			near = append(near, candidate{other, far})
		}
	}
	if len(near) == 0 {
		return fmt.Errorf("there is no subject %q: `lockkeeper failover list --all` shows them", name)
	}
	slices.SortFunc(near, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.name, b.name)) })
	var names []string
	for _, c := range near[:min(len(near), mostNear)] {
		names = append(names, c.name)
	}
	return fmt.Errorf("there is no subject %q: did you mean %s?", name, strings.Join(names, " or "))
}

// distance is Levenshtein's: how many characters must be added, left out or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// knows tells whether there is such a subject, or says which are nearly alike.
func (l *loop) knows(subject string) error {
	known := slices.Collect(maps.Keys(l.decision.Verdict))
	for idc := range l.decision.Serving.IDCs {
		known = append(known, "idc/"+idc+"/entry", "idc/"+idc+"/mesh")
	}
	if served := l.places.Load(); served != nil {
		known = served.append(known)
	}
	if slices.Contains(known, subject) {
		return nil
	}
	slices.Sort(known)
	return unknownSubject(subject, slices.Compact(known))
}
