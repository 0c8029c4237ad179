package probes

import "time"

const (
	// pingTick is how often it is looked for replies, and how closely the times of requests are kept: each look costs as much as many
	// pings. A buffer of the size that Linux gives by default would be full by then, with thousands of targets.
	pingTick    = 20 * time.Millisecond
	crampedTick = 5 * time.Millisecond
	pingCopies  = 2   // of a request that has no reply yet
	wheelSlots  = 256 // about 5 s; what is due later stays in its slot for another round
)

// pingEvent is something to be done for a target: to send its next request, or to send one again or give it up.
type pingEvent struct {
	tick   int64
	nonce  uint64 // of the request in question; 0: send the next one
	index  uint32
	life   uint32 // of the target: an index is used again after a target is gone
	copies uint8  // how often the request is to be sent again; 0: give it up
}

// wheel keeps what is to be done by when it is due. Adding and taking cost the same however much there is.
type wheel struct {
	slots [wheelSlots][]pingEvent
	spare []pingEvent
	at    int64 // the tick that take looks at next
	n     int
}

// add keeps an event. One that is overdue is taken next.
func (w *wheel) add(e pingEvent) {
	e.tick = max(e.tick, w.at)
	slot := &w.slots[e.tick%wheelSlots]
	*slot = append(*slot, e)
	w.n++
}

// take hands out all that is due until then. What due adds meanwhile is taken by the next call at the earliest.
func (w *wheel) take(until int64, due func(pingEvent)) {
	first := w.at
	w.at = max(w.at, until+1)
	for tick := max(first, until+1-wheelSlots); tick <= until; tick++ {
		slot := &w.slots[tick%wheelSlots]
		if len(*slot) == 0 {
			continue
		}
		taken := *slot
		*slot = w.spare[:0]
		for _, e := range taken {
			if e.tick > until {
				*slot = append(*slot, e)
				continue
			}
			w.n--
			due(e)
		}
		w.spare = taken[:0]
	}
}

// next is a tick before which nothing is due; ok is false when there is nothing at all.
func (w *wheel) next() (tick int64, ok bool) {
	if w.n == 0 {
		return 0, false
	}
	tick = w.at
	for range wheelSlots {
		if len(w.slots[tick%wheelSlots]) > 0 {
			break
		}
		tick++
	}
	return tick, true
}
