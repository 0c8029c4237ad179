package failover

import (
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
)

const troubleGap = grayWindow * graySlot // callers who have not failed for longer begin anew

// trouble is what callers told of an endpoint since they began to fail: the seconds in which a tenth of their tries did.
type trouble struct {
	from, last      time.Time
	tries, failures uint64
	flags           map[string]uint64
}

func (t *trouble) observe(e *probes.Evidence) {
	if float64(e.Traffic.Failures) < grayGap/2*float64(e.Traffic.Requests) {
		return
	}
	if e.At.Sub(t.last).Abs() > troubleGap {
		*t = trouble{from: e.At.Add(-e.Traffic.Over), flags: map[string]uint64{}}
	}
	t.last = e.At
	t.tries += e.Traffic.Requests
	t.failures += e.Traffic.Failures
	for flag, n := range e.Traffic.Flags {
		t.flags[strings.Clone(flag)] += n
	}
}

// add puts the trouble of several endpoints together.
func (t *trouble) add(other *trouble) {
	if t.from.IsZero() || other.from.Before(t.from) {
		t.from = other.from
	}
	t.last = maxTime(t.last, other.last)
	t.tries += other.tries
	t.failures += other.failures
	for flag, n := range other.flags {
		t.flags[flag] += n
	}
}

// sighting is what is seen of a subject now, as far as its story tells it.
type sighting struct {
	lost    time.Time // since when probes fail that call it dead
	fails   bool      // a probe does now
	answers time.Time // since when none does
	trouble trouble   // of its callers
	began   time.Time // the newest try
}

// see looks at a machine or an endpoint by the clock that gateways share, as decisions are made by it.
func (l *loop) see(name string, since time.Time) sighting {
	c := l.shared.time()
	seen := l.judge.see(name, c.ownAt(since))
	for _, at := range []*time.Time{&seen.lost, &seen.answers, &seen.trouble.from, &seen.trouble.last, &seen.began} {
		*at = c.at(*at)
	}
	return seen
}

// see looks at a machine or an endpoint. What its callers told before since is left out.
func (j *Judge) see(name string, since time.Time) (seen sighting) {
	if s := j.subjects[name]; s != nil {
		for i := range s.probes {
			p := &s.probes[i]
			switch {
			case p.fails == 0:
				seen.answers = maxTime(seen.answers, p.from)
				continue
			case p.bad && (seen.lost.IsZero() || p.from.Before(seen.lost)):
				seen.lost = p.from
			}
			seen.fails = true
		}
	}
	seen.trouble.flags = map[string]uint64{}
	for _, endpoint := range j.mesh.on(name) {
		t := j.mesh.endpoints[endpoint]
		if t == nil {
			continue
		}
		seen.began = maxTime(seen.began, t.began)
		if t.trouble.last.After(since) {
			seen.trouble.add(&t.trouble)
		}
	}
	return seen
}

// count is how many endpoints each subject has, and how many clusters have one of them.
func (j *Judge) count(subjects []string, clusters map[string][]string) map[string][2]int {
	counts, owners := map[string][2]int{}, map[string][]string{}
	for _, subject := range subjects {
		endpoints := j.mesh.on(subject)
		counts[subject] = [2]int{len(endpoints), 0}
		for _, endpoint := range endpoints {
			owners[endpoint] = append(owners[endpoint], subject)
		}
	}
	for _, members := range clusters {
		found := map[string]bool{}
		for _, member := range members {
			for _, owner := range owners[member] {
				found[owner] = true
			}
		}
		for owner := range found {
			counts[owner] = [2]int{counts[owner][0], counts[owner][1] + 1}
		}
	}
	return counts
}
