package failover

import (
	"fmt"
	"slices"
	"time"
)

// mend has a gateway whose clock was wrong when it started go on by the wall clock, once that was mended and another gateway's time says so. It goes
// on as after a restart, but that what is out is what the others know to be out: alone it may have been a quorum of machines that nobody else was
// heard to watch. People's words it brings along, as far as nobody has said anything since.
func (l *loop) mend(own time.Time) {
	if !l.shared.mended() {
		return
	}
	text, err := encodeState(l.state())
	if err != nil {
		return // the keeper tells of it
	}
	past, err := decodeState(text)
	if err != nil {
		return
	}
	by := l.shared.time().mend(own)
	past.resume(own)
	now := l.shared.time().at(own)
	past.Shared = slices.DeleteFunc(past.Shared, func(e *entry) bool {
		return e.Clock > now.Add(mostAhead).UnixNano() || e.Topic == topicMemory && e.Origin == l.shared.self
	})
	l.shared.begin(past.Holds, own)
	l.goOn(past, own)
	l.shared.plan = nil // what the others know may be another than this gateway has
	l.share, l.alarms, l.aborted = &Share{}, nil, aborted{}
	if p := l.plan; p != nil && p.At.After(now.Add(mostAhead)) { // no other gateway would take it
		if p.Active() {
			l.note(p.end(now, Aborted, "it began at a time that has not come yet, as the clock was wrong", ""))
		}
		l.plan = nil
	}
	l.note([]Event{{
		At: now, Kind: "state", What: fmt.Sprintf("goes on by the wall clock, %s %s", by.Abs().Round(time.Second), map[bool]string{true: "later", false: "earlier"}[by > 0]),
		Why: "it was wrong when the gateway started, and agrees with another gateway's now",
	}})
}

// mended tells whether another gateway's time says that this one's clock was mended.
func (s *sharing) mended() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ledger.right) > 0
}

// begin begins anew with what the gateways have told whose time is right, and with what people have asked of this one.
func (s *sharing) begin(holds []Hold, own time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wholes := s.ledger.right
	s.ledger.forget()
	s.ledger.mended, s.ledger.right = s.ledger.mended+1, nil
	s.voices = voices{}
	for _, whole := range wholes {
		_ = s.ledger.hear(whole, own) // they were read before
	}
	s.adoptHolds(holds)
}
