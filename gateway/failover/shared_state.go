package failover

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// state is what must outlive the gateway: all that is shared. That others are remembered, too, keeps a quorum from shrinking by a restart.
func (s *sharing) state() (all []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range topics() {
		for _, e := range s.ledger.entries[t] {
			all = append(all, e)
		}
	}
	return all
}

// unsaved tells whether something has changed since it was asked last that must be kept. Opinions change all the time; it is kept who has one.
func (s *sharing) unsaved() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := uint64(s.ledger.count)
	for _, t := range []topic{topicHold, topicMemory, topicPlan} {
		now += s.ledger.changed[t] << 32
	}
	changed := now != s.saved
	s.saved = now
	return changed
}

// resume goes on from what was shared, or from what a gateway left that was alone: that is as old as it is, so that what others know since counts
// more.
func (s *sharing) resume(l *loop, past *state, own time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := s.ledger.refused[refusedClock]
	s.ledger.clock.saw(past.Clock, own)
	for _, e := range past.Shared {
		if e != nil {
			s.ledger.receive(e, own)
		}
	}
	if len(past.Shared) == 0 || s.ledger.refused[refusedClock] > refused { // the wall clock was set back meanwhile: as if it had been alone
		s.adopt(past, own)
	}
	l.holds = s.held(s.ledger.clock.at(own))
	s.holds, s.holdsN = l.holds, s.ledger.changed[topicHold]
	s.plan = s.ledger.entries[topicPlan][""]
}

// adopt makes what one gateway alone has left something shared.
func (s *sharing) adopt(past *state, own time.Time) {
	s.adoptHolds(past.Holds)
	now := s.ledger.clock.at(own)
	for subject, v := range past.Decision.Verdict {
		m := memory{IDC: v.IDC, Health: v.Health, Since: s.ledger.clock.at(v.Since), Why: v.Why, Down: v.Down, Falls: past.Decision.Falls[subject]}
		if v.Down {
			s.ledger.writeAt(s.ledger.clock.at(past.Decision.At).UnixNano(), topicMemory, subject, 0, now.Add(memoryLasts), m)
		}
	}
}

// adoptHolds makes holds something shared as of when they were made, so that whatever was said of the subject since counts more.
func (s *sharing) adoptHolds(holds []Hold) {
	for _, h := range holds {
		h.At, h.Until = s.ledger.clock.at(h.At), s.ledger.clock.at(h.Until)
		s.ledger.writeAt(h.At.UnixNano(), topicHold, h.Subject, 0, h.Until, h)
	}
}

// held are the holds that all know.
func (s *sharing) held(now time.Time) (holds []Hold) {
	for _, e := range s.ledger.entries[topicHold] {
		if e.live(now) {
			holds = append(holds, *e.value.(*Hold))
		}
	}
	slices.SortFunc(holds, func(a, b Hold) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Subject, b.Subject)) })
	return holds
}
