package failover

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lockkeeper/lockkeeper/xds"
)

// leftOut counts subjects of a kind that have the same verdict.
type leftOut struct {
	Kind   string `json:"kind"`
	Act    bool   `json:"act"` // mode act
	Health string `json:"health"`
	Out    bool   `json:"out"`
	Count  int    `json:"count"`
}

// wanted says which subjects an answer is to have.
type wanted struct {
	prefix string
	words  []string // all of which are in the subject, its IDC or the reason, whatever their case
	worst  int      // so many at most, the worst; 0: all
}

func parseWanted(query url.Values) (w wanted, err error) {
	w = wanted{prefix: query.Get("subject"), words: strings.Fields(strings.ToLower(query.Get("find")))}
	if query.Has("worst") {
		if w.worst, err = strconv.Atoi(query.Get("worst")); err != nil || w.worst < 1 {
			err = fmt.Errorf("worst: %q: must be a number from 1", query.Get("worst"))
		}
	}
	return w, err
}

func (w *wanted) takes(name string, v *Verdict) bool {
	if !strings.HasPrefix(name, w.prefix) {
		return false
	}
	if len(w.words) == 0 {
		return true
	}
	text := strings.ToLower(name + " " + v.IDC + " " + v.Why)
	return !slices.ContainsFunc(w.words, func(word string) bool { return !strings.Contains(text, word) })
}

// cut keeps the worst of a list, in its order, and counts the others.
func (w *wanted) cut(list []listed) (few []listed, rest []leftOut) {
	if w.worst == 0 || len(list) <= w.worst {
		return list, nil
	}
	slices.SortStableFunc(list, func(a, b listed) int { return cmp.Compare(a.rank(), b.rank()) })
	few = slices.Clone(list[:w.worst])
	slices.SortFunc(few, func(a, b listed) int { return cmp.Compare(a.Subject, b.Subject) })
	counts := map[leftOut]int{}
	for i := range list[w.worst:] {
		x := &list[w.worst+i]
		counts[leftOut{Kind: x.Kind, Act: x.Act, Health: x.Health, Out: x.Out}]++
	}
	for like, n := range counts {
		like.Count = n
		rest = append(rest, like)
	}
	slices.SortFunc(rest, func(a, b leftOut) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Health, b.Health), cmp.Compare(strconv.FormatBool(a.Out), strconv.FormatBool(b.Out)))
	})
	return few, rest
}

// rank orders subjects, the worst first. IDCs come before all, and a DNS that answers wrongly: there are few, and however many machines are out they matter more.
func (x *listed) rank() int {
	switch unwell := x.Verdict.Health == Dead || x.Verdict.Health == Gray; {
	case x.Kind == kindIDC, x.Kind == kindDNS && unwell:
		return 0
	case x.Out:
		return 1
	case unwell:
		return 2
	case x.Held != nil || x.WouldOut || x.Down || x.Blocked != "":
		return 3
	case x.Verdict.Health != Healthy:
		return 4
	}
	return 5
}

// among is what is served, with those subjects alone that are listed.
func among(s xds.Serving, list []listed) xds.Serving {
	out := map[string]xds.Out{}
	for i := range list {
		if o, ok := s.Out[list[i].Subject]; ok {
			out[list[i].Subject] = o
		}
	}
	s.Out = out
	return s
}
