package mesh

import (
	"cmp"
	"time"
	"unique"
)

const (
	sentTotal     = "lockkeeper_edge_sent_total"
	receivedTotal = "lockkeeper_edge_received_total"
	lossRatio     = "lockkeeper_edge_loss_ratio"
)

// The slots of a hop: the newest two may still be filled, the ratio is over the others.
const (
	hopSlots     = 8
	hopOpenSlots = 2
	maxTries     = 1000 // of one request
)

// hopKey is one way through the network: from the workload of one IDC to that of another, or of the same.
type hopKey struct {
	source, sourceNamespace           string
	destination, destinationNamespace string
	idc, destinationIDC               string
}

func (k hopKey) labels() []Label {
	return []Label{
		{"source_workload", k.source},
		{"source_workload_namespace", k.sourceNamespace},
		{"destination_workload", k.destination},
		{"destination_workload_namespace", k.destinationNamespace},
		{"idc", k.idc},
		{"destination_idc", k.destinationIDC},
	}
}

// hop compares what the source's Envoys sent with what the destination's received. Both are put into slots by the time the
// request ended, so that it does not matter when Envoy and gateway came to tell of it.
type hop struct {
	sent, received, loss *counter // nil: nothing to tell
	receivedAt           time.Time
	hit                  time.Time
	gone                 bool
	from                 int64 // the first slot that counts
	slots                [hopSlots]hopSlot
}

type hopSlot struct {
	number         int64 // as in edgeSlot
	sent, received uint64
}

// passed counts what passed a hop by the time it ended: in the newest slot seen, and before that.
type passed struct {
	slot        int64 // 0: unknown
	last, older uint32
}

func (p *passed) add(e *entry, reporter reporter) {
	n := uint32(1)
	switch reporter {
	case reporterSource:
		if n = e.tries(); n == 0 {
			return
		}
	case reporterDestination:
	default:
		return
	}
	slot := e.endSlot()
	switch {
	case slot > p.slot:
		p.older += p.last
		p.slot, p.last = slot, n
	case slot == p.slot:
		p.last += n
	default:
		p.older += n
	}
}

// tries is how often a request or connection reached for a host.
func (e *entry) tries() uint32 {
	switch {
	case len(e.later.upstream) == 0:
		return 0
	case e.tcp:
		return 1
	}
	return min(max(e.attempts, 1), maxTries)
}

// endSlot is the number of the slot in which a request ended, or 0.
func (e *entry) endSlot() int64 {
	if !e.start.set {
		return 0
	}
	return (e.start.seconds + e.duration.seconds + int64(e.start.nanos+e.duration.nanos)/1e9) / int64(edgeSlotTime/time.Second)
}

// addHop adds what a stream counted to the hop that it passed, if both ends of that are known. a.mu is held.
func (a *Aggregator) addHop(e *edge, c *counts) {
	n := uint64(c.passed.last) + uint64(c.passed.older)
	if n == 0 {
		return
	}
	h := e.hops[c.key.far]
	if h == nil || h.gone {
		if h = a.hopOf(e, &c.key, n); h == nil {
			return
		}
		if e.hops == nil {
			e.hops = map[unique.Handle[string]]*hop{}
		}
		e.hops[c.key.far] = h
	}
	side := &h.sent
	if h.hit = a.merged; c.key.reporter == reporterDestination {
		if h.receivedAt.IsZero() {
			h.countAfter(a.merged) // before, it was not known who is at which address
		}
		side, h.receivedAt = &h.received, a.merged
	}
	if *side == nil || (*side).gone {
		name := sentTotal
		if c.key.reporter == reporterDestination {
			name = receivedTotal
		}
		*side = a.newCounter(name, hopKeyOf(&c.key).labels())
	}
	(*side).add(n, a.merged)
	h.fill(a.merged, c.passed.slot, uint64(c.passed.last), c.key.reporter)
	h.fill(a.merged, c.passed.slot-1, uint64(c.passed.older), c.key.reporter)
}

// fill adds to a slot. What is unknown, or of a clock that is ahead, is of now; what is too late for its slot is left out.
func (h *hop) fill(now time.Time, number int64, n uint64, by reporter) {
	current := slotNumber(now)
	if number <= 0 || number > current {
		number = current
	}
	s := &h.slots[number%hopSlots]
	if s.number < number {
		*s = hopSlot{number: number}
	}
	switch {
	case s.number != number:
	case by == reporterDestination:
		s.received += n
	default:
		s.sent += n
	}
}

// countAfter leaves out the slots of which the destination could not tell all: those until now, and the next, in which it
// may begin to.
func (h *hop) countAfter(now time.Time) { h.from = slotNumber(now) + 2 }

// sum returns what was sent and received in the slots that are complete.
func (h *hop) sum(now time.Time) (sent, received uint64) {
	current := slotNumber(now)
	for _, s := range h.slots {
		if s.number >= h.from && s.number > current-hopSlots && s.number <= current-hopOpenSlots {
			sent += s.sent
			received += s.received
		}
	}
	return sent, received
}

// hopKeyOf names the hop that requests of a key passed; reporters are source or destination.
func hopKeyOf(k *key) hopKey {
	source, destination := k.source.Value(), k.destination.Value()
	id := hopKey{
		source[workload], cmp.Or(source[namespace], Unknown), destination[workload], cmp.Or(destination[namespace], Unknown),
		k.idc.Value(), k.far.Value(),
	}
	if k.reporter == reporterDestination {
		id.idc, id.destinationIDC = id.destinationIDC, id.idc
	}
	return id
}

// hopOf finds or makes the hop that n of a key passed; it is nil where an end is not known, and beyond the bound.
func (a *Aggregator) hopOf(e *edge, k *key, n uint64) *hop {
	id := hopKeyOf(k)
	if id.source == "" || id.destination == "" {
		return nil
	}
	h := a.hops[id]
	if h == nil {
		if e.other || len(a.hops) >= a.options.MaxSeries {
			a.hopOverflow += n
			return nil
		}
		h = &hop{}
		a.hops[id] = h
	}
	return h
}

// end is a workload in an IDC.
type end struct{ workload, namespace, idc string }

// measureLoss sets the ratio of each hop of which both ends report. A destination whose Envoys have no stream open has lost its
// telemetry, not its traffic. a.mu is held.
func (a *Aggregator) measureLoss(now time.Time) {
	if len(a.hops) == 0 {
		return
	}
	reporting := map[end]struct{}{}
	for s := range a.streams {
		p := s.own.Value()
		reporting[end{p[workload], cmp.Or(p[namespace], Unknown), s.node.IDC}] = struct{}{}
	}
	since := now.Add(-a.options.Idle)
	for id, h := range a.hops {
		_, open := reporting[end{id.destination, id.destinationNamespace, id.destinationIDC}]
		if !open || h.receivedAt.Before(since) {
			h.countAfter(now)
		}
		sent, received := h.sum(now)
		if sent == 0 {
			a.drop(h.loss)
			continue
		}
		if h.loss == nil || h.loss.gone {
			h.loss = a.newCounter(lossRatio, id.labels())
			h.loss.Gauge = true
		}
		ratio := lost(sent, received)
		h.loss.touch(now, h.loss.Value != ratio)
		h.loss.Value = ratio
	}
}

// sweepHops forgets the hops that nobody reported for a while.
func (a *Aggregator) sweepHops(since time.Time) {
	for id, h := range a.hops {
		if h.hit.Before(since) && (h.sent == nil || h.sent.gone) && (h.received == nil || h.received.gone) {
			h.gone = true
			delete(a.hops, id)
		}
	}
}

// lossOf is the share of what passed an edge's hops and was not received; nil if that cannot be told.
func (e *edge) lossOf(now time.Time) *float64 {
	var sent, received uint64
	for _, h := range e.hops {
		if h.loss != nil && !h.loss.gone && !h.loss.ended {
			s, r := h.sum(now)
			sent, received = sent+s, received+r
		}
	}
	if sent == 0 {
		return nil
	}
	ratio := lost(sent, received)
	return &ratio
}

func lost(sent, received uint64) float64 {
	if received >= sent {
		return 0
	}
	return float64(sent-received) / float64(sent)
}
