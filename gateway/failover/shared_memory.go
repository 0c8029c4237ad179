package failover

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

const (
	memoryLasts   = 7 * 24 * time.Hour // of what is out. It is written again long before
	memoryOfFalls = 2 * flapMemory     // of what is back
)

// agreed are the memories that all gateways share, by subject.
func (l *ledger) agreed(own time.Time) map[string]Verdict {
	now, agreed := l.clock.at(own), map[string]Verdict{}
	for subject, e := range l.entries[topicMemory] {
		if e.live(now) {
			m := e.value.(*memory)
			agreed[subject] = Verdict{IDC: m.IDC, Health: m.Health, Since: m.Since, Why: m.Why, Down: m.Down, Out: m.Out}
		}
	}
	return agreed
}

// before is what a decision goes on from: what was served last by anybody with these rules, and what all know of the subjects.
func (l *ledger) before(mine Decision, rules string, own time.Time) Decision {
	before := mine
	before.Falls, before.Returned = map[string][]time.Time{}, map[string]time.Time{}
	now := l.clock.at(own)
	for subject, e := range l.entries[topicMemory] {
		if !e.live(now) {
			continue
		}
		m := e.value.(*memory)
		if len(m.Falls) > 0 {
			before.Falls[subject] = m.Falls
		}
		if !m.Returned.IsZero() {
			before.Returned[subject] = m.Returned
		}
	}
	e := l.get(topicServing, rules, own)
	if e == nil {
		return before
	}
	s := e.value.(*served)
	if before.Frozen = maps.Clone(s.Frozen); len(mine.Frozen) > 0 {
		before.Frozen = maps.Clone(mine.Frozen)
		maps.Copy(before.Frozen, s.Frozen)
	}
	switch {
	case s.Serving.Version > mine.Serving.Version:
		before.Serving, before.Would, before.Ejected = s.Serving, s.Would, s.Ejected
	case s.Serving.Version == mine.Serving.Version:
		before.Would, before.Ejected = s.Would, s.Ejected
		if !sameServing(s.Serving, mine.Serving) { // two decided in the same moment
			before.Serving = s.Serving
			before.Serving.Version++
		}
	}
	return before
}

// sameServing tells whether two are alike in all that anybody can see but the version.
func sameServing(a, b xds.Serving) bool {
	out := func(a, b xds.Out) bool { return a.Drain == b.Drain && a.Why == b.Why && a.Since.Equal(b.Since) }
	return a.At.Equal(b.At) && a.Degraded == b.Degraded && maps.EqualFunc(a.Out, b.Out, out) && maps.Equal(a.IDCs, b.IDCs)
}

// remember tells the others what was decided. Nothing is written of a subject on which there is no verdict: what was decided last stands.
func (l *ledger) remember(after Decision, agreed map[string]Verdict, held func(subject string) bool, rules string, own time.Time) {
	for subject, v := range after.Verdict {
		was, known := agreed[subject]
		is := memory{IDC: v.IDC, Health: v.Health, Since: v.Since, Why: v.Why, Down: v.Down, Falls: after.Falls[subject], Returned: after.Returned[subject]}
		is.Out = v.Out && held(subject)
		if !known && is.plain() || Kind(subject) == kindDNS {
			continue
		}
		if v.Health == Unknown {
			if is.Health, is.Since, is.Why = was.Health, was.Since, was.Why; !held(subject) {
				continue
			}
		}
		l.recall(subject, &is, own)
	}
	for subject, was := range agreed {
		if _, ok := after.Verdict[subject]; !ok && (was.Down || was.Out) { // nobody has a word of it any more
			l.recall(subject, &memory{IDC: was.IDC, Falls: after.Falls[subject], Returned: after.Returned[subject]}, own)
		}
	}
	l.serve(after, rules, own)
}

// recall writes a memory if it is another than all have.
func (l *ledger) recall(subject string, is *memory, own time.Time) {
	now, was := l.clock.at(own), &memory{}
	e := l.entries[topicMemory][subject]
	if e.live(now) {
		if was = e.value.(*memory); was.alike(is) && (!is.Down || e.Until-now.UnixNano() > int64(memoryLasts/2)) {
			return
		}
	} else if is.plain() {
		return
	}
	switch {
	case !l.may(entryID{topicMemory, subject}, is.essence(), was.essence(), own):
	case is.plain():
		l.write(topicMemory, subject, 0, time.Time{}, nil, own)
	case is.Down || is.Out || is.Health != Healthy:
		l.write(topicMemory, subject, 0, now.Add(memoryLasts), is, own)
	default:
		l.write(topicMemory, subject, 0, now.Add(memoryOfFalls), is, own)
	}
}

func (m *memory) essence() string { return fmt.Sprint(m.Health, m.Down, m.Out) }

func (m *memory) alike(o *memory) bool {
	return m.IDC == o.IDC && m.Health == o.Health && m.Since.Equal(o.Since) && m.Why == o.Why && m.Down == o.Down && m.Out == o.Out &&
		m.Returned.Equal(o.Returned) && slices.EqualFunc(m.Falls, o.Falls, time.Time.Equal)
}

// serve writes what is served if nobody has done so yet.
func (l *ledger) serve(after Decision, rules string, own time.Time) {
	against := ""
	if e := l.get(topicServing, rules, own); e != nil {
		s := e.value.(*served)
		against = essence(s.Serving)
		same := s.Serving.Version == after.Serving.Version && s.Would.Version == after.Would.Version &&
			maps.EqualFunc(s.Frozen, after.Frozen, func(Freeze, Freeze) bool { return true })
		fresh := e.Until-l.clock.at(own).UnixNano() > int64(memoryLasts/2)
		if same && fresh || s.Serving.Version > after.Serving.Version {
			return
		}
	}
	if !l.may(entryID{topicServing, rules}, essence(after.Serving), against, own) {
		return
	}
	s := served{Serving: after.Serving, Would: after.Would, Frozen: after.Frozen, Ejected: after.Ejected}
	l.write(topicServing, rules, after.Serving.Version, l.clock.at(own).Add(memoryLasts), s, own)
}

// essence is what is served without its version, times and reasons.
func essence(s xds.Serving) string {
	sum := sha256.New()
	for _, subject := range slices.Sorted(maps.Keys(s.Out)) {
		fmt.Fprintln(sum, subject, s.Out[subject].Drain)
	}
	for _, name := range slices.Sorted(maps.Keys(s.IDCs)) {
		fmt.Fprintln(sum, name, s.IDCs[name].Entry, s.IDCs[name].Mesh)
	}
	return string(sum.Sum(nil))
}
