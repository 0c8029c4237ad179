package mesh

import "time"

// The distributions of a series, in the order of Series.Distributions.
const (
	durations = iota // milliseconds
	requestBytes
	responseBytes
	distributionCount
)

// Distribution is a cumulative histogram over Bounds.
type Distribution struct {
	Buckets [bucketCount]uint64 // not cumulated over the bounds
	Sum     float64
}

// Series is one label set with what was counted since Start.
type Series struct {
	Labels        []Label // shared: not to be changed
	Start         time.Time
	New           bool                            // exported for the first time: its zero at Start has to be written, too
	Ended         bool                            // exported for the last time: it has no value any more
	TCP           bool                            // of connections: Distributions are empty
	Requests      uint64                          // of TCP: connections closed
	Opened        uint64                          // TCP connections
	Received      uint64                          // bytes of TCP connections from downstream
	Sent          uint64                          // bytes of TCP connections to downstream
	Distributions [distributionCount]Distribution // duration in milliseconds, request bytes, response bytes
}

// series is a Series in the aggregator's books.
type series struct {
	Series
	kept
	id  uint64 // hash of the labels
	key key    // the first that led here
}

func (s *series) snapshot() Series {
	out := s.Series
	out.New, out.Ended = s.first, s.ended
	return out
}

// forget drops a series that has ended. a.mu is held.
func (s *series) forget(a *Aggregator) { delete(a.series, s.id) }

// counts is what one stream has seen of a series since its last merge.
type counts struct {
	key           key
	dirty         bool   // not empty
	requests      uint32 // or connections closed
	traffic       traffic
	passed        passed
	failed        [][]byte // the last entries, if the requests failed
	distributions [distributionCount]struct {
		buckets [bucketCount]uint32
		sum     float64
	}
}

func (c *counts) add(bounds *[bucketCount - 1]float64, e *entry) {
	c.requests++
	d := e.duration
	if !d.set {
		d = e.lastTx
	}
	for i, v := range [distributionCount]float64{d.milliseconds(), float64(e.received), float64(e.sent)} {
		to := &c.distributions[i]
		to.buckets[bucket(bounds, v)]++
		to.sum += v
	}
}

func (c *counts) addTraffic(t traffic) {
	c.requests += t.closed
	c.traffic.opened += t.opened
	c.traffic.received += t.received
	c.traffic.sent += t.sent
}

// merge adds what a stream counted, and resets that.
func (s *series) merge(c *counts) {
	s.Requests += uint64(c.requests)
	s.Opened += uint64(c.traffic.opened)
	s.Received += c.traffic.received
	s.Sent += c.traffic.sent
	for i := range c.distributions {
		from, to := &c.distributions[i], &s.Distributions[i]
		for b, n := range from.buckets {
			to.Buckets[b] += uint64(n)
		}
		to.Sum += from.sum
	}
	*c = counts{key: c.key}
}
