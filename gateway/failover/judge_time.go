package failover

import (
	"slices"
	"time"
)

// futureSlack is how far ahead of who asks an observation may seem to be.
const futureSlack = time.Second

// Opinions are all opinions as of now, by subject. Probes that have been silent for too long are unknown; what has been silent for an hour is
// forgotten. The slice is the caller's.
func (j *Judge) Opinions(now time.Time) []Opinion {
	opinions := make([]Opinion, 0, len(j.sorted)+len(j.mesh.sorted))
	j.mesh.judge(now)
	j.expire(now)
	forgotten := false
	for _, s := range j.sorted {
		j.judge(s, now)
		if s.forgotten(now) {
			forgotten = true
			continue
		}
		opinion := s.Opinion
		if s.Health == Dead {
			opinion.Hold, opinion.Callers = s.hold(), j.mesh.failing(s.Subject, now)
		}
		opinions = append(opinions, opinion)
	}
	if forgotten {
		j.forget(now)
	}
	return j.mesh.beside(opinions)
}

// Next is when Opinions must be asked again at the latest, though nothing was observed: something will have fallen silent. Zero: not by itself.
func (j *Judge) Next() time.Time {
	if !j.due.IsZero() && !j.due.After(j.seen) { // most probably it has been heard of since
		j.expire(j.seen)
	}
	if due := j.mesh.due; !due.IsZero() && (j.due.IsZero() || due.Before(j.due)) {
		return due
	}
	return j.due
}

// expire finds out when the first probe falls silent after now.
func (j *Judge) expire(now time.Time) {
	j.due = time.Time{}
	for _, s := range j.sorted {
		if due := s.expire(now); !due.IsZero() && (j.due.IsZero() || due.Before(j.due)) {
			j.due = due
		}
	}
}

// expire is when the first of the subject's probes falls silent; zero: none will. Observations from the future are taken back, so that a
// clock that was wrong for a moment does not make all that follows seem old.
func (s *subject) expire(now time.Time) (due time.Time) {
	for i := range s.probes {
		p := &s.probes[i]
		if p.last.After(now.Add(futureSlack)) {
			p.last, p.silent = now.Add(-time.Nanosecond), time.Time{}
		}
		if p.silent.After(now) && (due.IsZero() || p.silent.Before(due)) {
			due = p.silent
		}
	}
	if !due.IsZero() {
		due = due.Add(time.Nanosecond) // it still holds at that very moment
	}
	return due
}

// forgotten tells whether it has been silent for too long, since that was noticed.
func (s *subject) forgotten(now time.Time) bool {
	return s.Health == Unknown && now.Sub(s.Since) >= forgetAfter && !slices.ContainsFunc(s.probes, func(p probe) bool { return !now.After(p.silent) })
}

func (j *Judge) forget(now time.Time) {
	gone := func(s *subject) bool { return s.forgotten(now) }
	for _, s := range j.sorted {
		if gone(s) {
			delete(j.subjects, s.Subject)
		}
	}
	j.sorted = slices.DeleteFunc(j.sorted, gone)
	for scope := range j.worlds {
		j.worlds[scope] = slices.DeleteFunc(j.worlds[scope], gone)
		j.share(scope)
	}
}

// hold is when it can be healthy again at the earliest.
func (s *subject) hold() (until time.Time) {
	for i := range s.probes {
		p := &s.probes[i]
		from := p.last
		if p.goods > 0 {
			from = p.from
		}
		if at := from.Add(s.clean); p.bad && at.After(until) {
			until = at
		}
	}
	return until
}
