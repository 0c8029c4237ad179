package stats

import "time"

// young is how old an Envoy may be when its first stats come and still be known to have sent them to nobody before.
const young = 15 * time.Second

// defaultInterval is Envoy's stats_flush_interval unless configured.
const defaultInterval = 5 * time.Second

// settle gives the values of a message their meaning.
func (s *Stream) settle() {
	n := s.node
	if kind := s.counting(); kind != n.kind {
		if kind == deltas || n.kind == deltas {
			for at := range n.series {
				s.settleSeries(&n.series[at], kind)
			}
		}
		n.kind = kind
	}
	for _, at := range s.touched {
		s.settleSeries(&n.series[at], n.kind)
	}
}

// counting tells deltas from cumulative counters. The latter fall only if Envoy drops a cluster or listener and makes it anew,
// or on /reset_counters; deltas fall all the time.
func (s *Stream) counting() counting {
	before := s.node.kindBefore
	switch {
	case s.falls > 0 && 10*s.falls > s.holds:
		return deltas
	case before == deltas && (s.falls > 0 || s.holds < 200 || s.node.rounds < 4):
		return deltas
	case s.holds >= 20 && s.node.rounds >= 3:
		return cumulative
	}
	return before
}

func (s *Stream) settleSeries(to *series, kind counting) {
	n := s.node
	value := to.last
	if to.kind == typeCounter && kind == deltas {
		value = to.sum
	}
	switch {
	case to.flags&unread != 0:
		to.flags = to.flags&^unread | changed
		switch {
		case n.follows:
			to.begin(n.before)
		case !n.born.IsZero():
			to.begin(n.born)
		case to.kind == typeHistogram || to.kind == typeCounter && kind == deltas:
			to.begin(s.now.Add(-defaultInterval)) // they are added up here
		}
	case to.flags&stale != 0:
		to.flags = to.flags&^stale | changed
	case value != to.value:
		to.flags |= changed
	}
	if to.kind == typeCounter && value < to.value {
		to.start = n.before.UnixNano()
	}
	to.value = value
	switch to.shape.role {
	case roleUptime:
		s.settleUptime(time.Duration(value) * time.Second)
	case roleWritten:
		n.sample.HasWritten = true
		s.note(&n.sample.Written, value)
	case roleFlushed:
		n.sample.HasFlushed = true
		s.note(&n.sample.Flushed, value)
	}
}

// settleUptime lets the series of a young Envoy begin with it.
func (s *Stream) settleUptime(uptime time.Duration) {
	n := s.node
	if n.follows || n.rounds != 1 || uptime > young || !n.born.IsZero() {
		return
	}
	n.born = s.now.Add(-max(uptime, time.Second))
	for i := range n.series {
		if n.series[i].start == 0 {
			n.series[i].begin(n.born)
		}
	}
}

// begin sets since when a series counts: it was zero then.
func (s *series) begin(at time.Time) {
	s.start = at.UnixNano()
	if s.kind == typeCounter || s.kind == typeHistogram {
		s.flags |= fresh
	}
}

func (s *Stream) note(to *uint64, value float64) {
	n := s.node
	if uint64(value) < *to {
		n.sample.Restarted = true
	}
	*to = uint64(value)
	n.sample.Node, n.sample.At = n.id, s.now
	s.sampled = true
}
