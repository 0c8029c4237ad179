package failover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	sweepEvery = 10 * time.Second
	planLasts  = 2*maxShift + 7*24*time.Hour // in which a plan is remembered
)

// exchange tells the others what this gateway holds of subjects and what people have asked of it, and takes what they say. It gives the opinions of
// all sites and the clusters that all know. Of nil it gives its own.
func (s *sharing) exchange(l *loop, own time.Time, opinions []Opinion) ([]Opinion, map[string][]string) {
	if s == nil {
		return opinions, l.clusters()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.Sub(s.swept) >= sweepEvery {
		s.swept = own
		s.ledger.sweep(own)
		s.voices.renew(s.ledger, own)
		s.voices.unsay(s.ledger, own, opinions)
	}
	s.people(l, own)
	s.voices.say(s.ledger, own, s.rules, opinions)
	clusters := s.voices.place(s.ledger, own, l.clusters())
	return s.voices.hear(s.ledger, own, s.alive()), clusters
}

// people brings people's words to the others and theirs here.
func (s *sharing) people(l *loop, own time.Time) {
	now := s.ledger.clock.at(own)
	for _, h := range l.holds {
		if !slices.Contains(s.holds, h) {
			s.ledger.write(topicHold, h.Subject, 0, h.Until, h, own)
		}
	}
	for _, h := range s.holds {
		if h.Until.After(now) && !slices.ContainsFunc(l.holds, func(o Hold) bool { return o.Subject == h.Subject }) {
			s.ledger.write(topicHold, h.Subject, 0, time.Time{}, nil, own)
		}
	}
	if s.holdsN != s.ledger.changed[topicHold] {
		s.takeHolds(l, now)
	}
	s.holds, s.holdsN = l.holds, s.ledger.changed[topicHold]
	s.tellPlan(l, own)
	s.takePlan(l, now)
}

// takeHolds makes the holds that all know this gateway's.
func (s *sharing) takeHolds(l *loop, now time.Time) {
	holds := s.held(now)
	for _, h := range holds {
		if e := s.ledger.entries[topicHold][h.Subject]; e.Origin != s.self && !slices.Contains(l.holds, h) {
			l.note([]Event{{At: now, Kind: "hold", Subject: h.Subject, What: holdText(h) + ", told by " + e.Origin, Why: h.Why, Who: h.By, Expires: h.Until}})
		}
	}
	for _, h := range l.holds {
		if e := s.ledger.entries[topicHold][h.Subject]; h.Until.After(now) && !e.live(now) {
			l.note([]Event{{At: now, Kind: "hold", Subject: h.Subject, What: "released, told by " + e.Origin, Undoes: holdText(h)}})
		}
	}
	l.holds, l.dirty = holds, true
}

// tellPlan tells how far the plan is, if it is further than all know.
func (s *sharing) tellPlan(l *loop, own time.Time) {
	e := s.ledger.entries[topicPlan][""]
	if l.plan == nil || e != nil && l.plan.rank() <= e.Rank {
		return
	}
	s.ledger.write(topicPlan, "", l.plan.rank(), s.ledger.clock.at(own).Add(planLasts), l.plan, own)
	s.plan = s.ledger.entries[topicPlan][""]
}

// takePlan goes on with the plan as far as anybody is with it. One that is made for other IDCs is left to those who have them.
func (s *sharing) takePlan(l *loop, now time.Time) {
	e := s.ledger.entries[topicPlan][""]
	if e == s.plan || !e.live(now) || e.Rank < l.plan.rank() {
		return
	}
	s.plan = e
	p := *e.value.(*Plan)
	if !slices.Equal(l.rules.idcNames(), slices.Sorted(maps.Keys(p.Steps[0].Weights))) {
		return
	}
	if was := l.plan; was != nil && was.ID == p.ID {
		p.recent, p.looked = was.recent, was.looked
		if was.Stage == p.Stage {
			p.since = was.since
		}
		if p.State == Running && was.State == Waiting && was.Stage == p.Stage {
			p.State, p.Note = was.State, was.Note
		}
	}
	if e.Origin != s.self && p.rank() != l.plan.rank() {
		what := fmt.Sprintf("%s: step %d of %d, told by %s", p.State, p.Stage+1, len(p.Steps), e.Origin)
		l.note([]Event{p.event(now, what, cmp.Or(p.Note, p.Why))})
	}
	l.plan, l.dirty = &p, true
}

// input adds to a decision's what gateways agree upon.
func (s *sharing) input(in Input, own time.Time) Input {
	if s == nil {
		return in
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in.Agreed = s.ledger.agreed(own)
	in.Before = s.ledger.before(in.Before, s.rules, own)
	return in
}

// decided tells the others what was decided, and how far the plan is, and warns of what gateways have wrong.
func (s *sharing) decided(l *loop, own time.Time, in Input, after Decision) {
	if s == nil {
		return
	}
	s.mu.Lock()
	held := map[string]bool{}
	for _, h := range l.holds {
		held[h.Subject] = true
	}
	s.tellPlan(l, own)
	s.ledger.remember(after, in.Agreed, func(subject string) bool { return held[subject] }, s.rules, own)
	s.warn(own, after.Alarms)
	s.mu.Unlock()
	s.tell(own)
}

// warn raises the alarms of the gateways themselves.
func (s *sharing) warn(own time.Time, alarms map[string]string) {
	if a := s.ledger.ahead; !a.at.IsZero() && own.Sub(a.at) < insistMemory {
		alarms["clock"] = fmt.Sprintf("the clock of %s is %s ahead of this gateway's: what it says is refused until the wrong one is set right",
			a.origin, a.by.Round(time.Second))
	}
	var others []string
	alive := s.alive()
	for _, e := range s.ledger.entries[topicRules] {
		member, _ := e.member()
		if _, answers := alive[member]; answers && e.live(s.ledger.clock.at(own)) && *e.value.(*string) != s.rules {
			others = append(others, member)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		alarms["rules_differ"] = "the settings of failover are not the same, so what is served may differ: " + strings.Join(others, ", ")
	}
}
