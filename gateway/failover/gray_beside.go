package failover

import (
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
)

// Clusters are the endpoints that serve the same, as the mesh saw them, by the name of the cluster. Those that are unknown are left out.
func (j *Judge) Clusters() map[string][]string { return j.mesh.clusters() }

// Place tells which endpoints are on a machine, so that what their callers say counts beside or against its probes. The map is the judge's.
func (j *Judge) Place(endpoints map[string][]string) { j.mesh.machines = endpoints }

// judge makes up the opinion of a subject that has probes anew.
func (j *Judge) judge(s *subject, now time.Time) (changed bool) {
	vetoed := s.health(now) == Dead && j.mesh.succeeds(s.Subject, s.failedFrom(), s.mayVetoUntil(now), now)
	if vetoed != s.Vetoed {
		s.Vetoed, changed = vetoed, true
	}
	return s.judge(now) || changed
}

// mayVetoUntil is until when a success must have ended to veto. What comes later than when it is called dead, but for the slot in which that is told, puts
// nothing back: a frozen machine that goes on answers at once what it held, and must be well for its clean time.
func (s *subject) mayVetoUntil(now time.Time) time.Time {
	if s.Health == Dead {
		return s.Since.Add(graySlot)
	}
	return now.Add(futureSlack)
}

// failedFrom is when the last of its bad probes began to fail, also of those that succeed again: what callers did before that puts nothing back.
func (s *subject) failedFrom() (from time.Time) {
	for i := range s.probes {
		if p := &s.probes[i]; p.bad && p.failed.After(from) {
			from = p.failed
		}
	}
	return from
}

// unhealthy is how many failures in a row make a probe bad: half of them while those who call the subject agree.
func (j *Judge) unhealthy(s *subject, e probes.Evidence) int {
	n := s.threshold.Unhealthy
	if !e.OK && j.mesh.failing(s.Subject, e.At) >= grayAgreeing {
		n = (n + 1) / 2
	}
	return n
}

// on are the endpoints that a probe's subject stands for.
func (g *gray) on(subject string) []string {
	if Kind(subject) == kindMachine {
		return g.machines[subject]
	}
	return []string{subject}
}

// succeeds tells whether a try of the subject that ended after from, before until and just now, succeeded.
func (g *gray) succeeds(subject string, from, until, now time.Time) bool {
	return slices.ContainsFunc(g.on(subject), func(endpoint string) bool {
		t := g.endpoints[endpoint]
		return t != nil && t.succeeded.After(from) && t.succeeded.Before(until) && now.Sub(t.succeeded) < grayFresh
	})
}

// failing is how many callers have tried the subject in the last second that was told of, if all of them failed each time; else 0.
func (g *gray) failing(subject string, now time.Time) int {
	callers := map[string]bool{}
	for _, endpoint := range g.on(subject) {
		t := g.endpoints[endpoint]
		if t == nil || now.Sub(t.last) >= grayFresh {
			continue
		}
		for _, p := range t.pools {
			m := p.members[t]
			if m == nil {
				continue
			}
			if tries, failures := m.all.sum(m.all.slot, 1); failures < tries {
				return 0
			}
			for caller, calls := range m.callers {
				if calls.slot == m.all.slot {
					callers[caller] = true
				}
			}
		}
	}
	return len(callers)
}

// beside puts the mesh's opinions among those by probes, which are sorted by subject, as the mesh's are.
func (g *gray) beside(opinions []Opinion) []Opinion {
	if len(g.sorted) == 0 {
		return opinions
	}
	probed := len(opinions)
	for _, t := range g.sorted {
		at, both := slices.BinarySearchFunc(opinions[:probed], t.Subject, func(o Opinion, subject string) int { return strings.Compare(o.Subject, subject) })
		seen := t.Opinion
		if seen.Health == Gray {
			seen.Hold = t.blamed.Add(g.clean)
		}
		if !both {
			opinions = append(opinions, seen)
		} else if o := &opinions[at]; o.Health == Unknown || o.Health == Healthy && seen.Health == Gray {
			*o = seen
		}
	}
	if probed > 0 {
		slices.SortFunc(opinions, func(a, b Opinion) int { return strings.Compare(a.Subject, b.Subject) })
	}
	return opinions
}
