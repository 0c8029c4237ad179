package stats

import (
	"math"
	"time"
)

// Stream reads the messages of one stream of the metrics service. Add and Close must not be called concurrently; everything
// else may be.
type Stream struct {
	sink      *Sink
	node      *node
	epoch     uint32
	at        uint32 // the series read last
	compacted int    // when at was set
	falls     uint64 // counters that were below what the same stream had said of them before
	holds     uint64 // counters that were above zero and did not fall

	// Of the message being read:
	now     time.Time
	seconds uint32 // since the Sink began
	begun   bool   // a metric of it was read
	sampled bool
	counts  [reasonCount]uint64
	touched []uint32
	raw     []byte
	family  family
	metric  metric
}

// Close ends the stream. Its series stay: they are marked as gone unless the node comes back in time.
func (s *Stream) Close() {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.streams--
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	s.node.open--
}

// Add reads a StreamMetricsMessage. The bytes may be reused as soon as it returns. A malformed family is counted and skipped;
// ErrMalformed means that the message itself cannot be read on.
func (s *Stream) Add(message []byte) error {
	sample, sampled, ok := s.add(message, time.Now())
	for r, n := range s.counts {
		if n > 0 {
			s.sink.dropped[r].Add(n)
		}
	}
	if sampled && s.sink.options.Sample != nil {
		s.sink.options.Sample(sample)
	}
	if !ok {
		return ErrMalformed
	}
	return nil
}

func (s *Stream) add(message []byte, now time.Time) (_ Sample, sampled, ok bool) {
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	n.messages++
	s.counts = [reasonCount]uint64{}
	if s.epoch != n.epoch {
		return Sample{}, false, walkMessage(message, func([]byte) { s.counts[replaced]++ })
	}
	s.now, s.seconds, s.begun, s.sampled = now, uint32(now.Sub(s.sink.began)/time.Second), false, false
	s.touched = s.touched[:0]
	if s.compacted != n.compacted {
		s.compacted, s.at = n.compacted, none
	}
	ok = walkMessage(message, s.readFamily)
	s.settle()
	if !s.sampled {
		return Sample{}, false, ok
	}
	sample := n.sample
	n.sample.Restarted = false
	return sample, true, ok
}

func (s *Stream) readFamily(b []byte) {
	f, m := &s.family, &s.metric
	if !f.read(b) || len(f.name) == 0 {
		s.counts[malformed]++
		return
	}
	for _, b := range f.metrics {
		if !m.read(f.kind, b) {
			s.counts[malformed]++
			continue
		}
		if !s.begun {
			s.begun = true
			s.round(m.time)
		}
		s.node.families++
		if why := s.readMetric(f, m); why != kept {
			s.counts[why]++
			if why == istio {
				s.node.istio++
			}
		}
	}
}

// round begins a new round unless the message belongs to the one before: Envoy splits large ones.
func (s *Stream) round(at int64) {
	n := s.node
	if n.rounds > 0 && at != 0 && at == n.round {
		return
	}
	if gap := s.now.Sub(n.last); n.rounds == 1 || n.rounds > 1 && gap < n.silence() {
		n.interval = gap
	}
	n.follows = s.now.Sub(n.last) <= n.silence()
	n.before, n.last, n.round = n.last, s.now, at
	n.previous, n.families = n.families, 0
	n.rounds++
}

// readMetric takes in one metric of a family, or says why not.
func (s *Stream) readMetric(f *family, m *metric) reason {
	n := s.node
	s.raw = appendRaw(s.raw[:0], f.name, f.kind, m.labels)
	at := uint32(none)
	if s.at != none {
		// Envoy sends its stats in the same order as long as none is added.
		if next := n.series[s.at].next; next != none && n.series[next].shape.raw == string(s.raw) {
			at = next
		}
	}
	if at == none {
		shape := s.sink.shapes.of(s.raw, f.name, f.kind, m.labels, int64(s.seconds))
		if shape.why != kept {
			return shape.why
		}
		var why reason
		if at, why = s.find(shape); why != kept {
			return why
		}
		if s.at != none {
			n.series[s.at].next = at
		}
	}
	s.at = at
	if f.kind == typeSummary && n.hasHistogram(&n.series[at]) {
		return summary
	}
	return s.take(at, m)
}

// find returns the node's series of the shape, which it makes if need be.
func (s *Stream) find(shape *shape) (uint32, reason) {
	n := s.node
	if at, ok := n.index[shape.series]; ok {
		known := &n.series[at]
		if known.shape != shape && known.epoch == s.epoch {
			return none, duplicate // two stats of one Envoy that become one name
		}
		known.shape = shape
		return at, kept
	}
	if len(n.series) >= s.sink.options.MaxNode || s.sink.series.Load() >= int64(s.sink.options.MaxTotal) {
		return none, overflow
	}
	s.sink.series.Add(1)
	refresh := int64(s.sink.options.Refresh / time.Second)
	at := uint32(len(n.series))
	n.series = append(n.series, series{
		identity: shape.series, shape: shape, epoch: s.epoch - 1, next: none, flags: unread,
		phase: uint32((n.last.Unix() + refresh/2 + int64(at)) % refresh), // spreads what began together
	})
	n.index[shape.series] = at
	return at, kept
}

// take notes a value; what it means is told by settle, when all of the message is read.
func (s *Stream) take(at uint32, m *metric) reason {
	n := s.node
	to := &n.series[at]
	if !m.set {
		return malformed
	}
	switch to.kind {
	case typeCounter:
		if !(m.value >= 0) || math.IsInf(m.value, 0) {
			return malformed
		}
		if to.epoch == s.epoch {
			if m.value < to.last {
				s.falls++
			} else if to.last > 0 {
				s.holds++
			}
		} else if n.kindBefore == cumulative {
			to.sum = 0
		}
		to.sum += m.value
		to.last = m.value
	case typeHistogram, typeSummary:
		if to.distribution == nil {
			to.distribution = &distribution{}
		}
		if !to.distribution.add(to.identity, m) {
			return malformed
		}
		if m.count > 0 {
			to.flags |= changed
		}
	default:
		to.last = m.value
	}
	to.epoch, to.seen = s.epoch, s.seconds
	s.touched = append(s.touched, at)
	return kept
}
