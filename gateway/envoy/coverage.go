package envoy

import (
	"sync"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
)

const (
	// coverageWindow is the time that a coverage ratio covers, at least: from the newest sample that is so old.
	coverageWindow = time.Minute
	// coverageStep is how close to one another the older samples of the window are kept.
	coverageStep = 10 * time.Second
	// silence is how long telemetry may be missing, at least, before it is lost.
	silence = 15 * time.Second
	// alsBuffer is how long Envoy keeps an entry, by default, before it sends it.
	alsBuffer = time.Second
	// maxCovered bounds the nodes that are compared.
	maxCovered = 20_000
)

// coverage compares what is received of each node with what the node's own stats say it wrote.
type coverage struct {
	received func(node string) (http, tcp uint64)
	idle     time.Duration
	began    time.Time

	mu      sync.Mutex
	nodes   map[string]*covered
	skipped int64 // samples of nodes beyond maxCovered
}

// covered is one node.
type covered struct {
	Flushed  bool   `json:"flushed"`  // compared by what Envoy flushed, else by what it wrote for HTTP alone
	Received uint64 `json:"received"` // up to the checkpoint; in all gateways' lives of which something is kept
	Samples  []pair `json:"samples"`  // oldest first, the last two as they came
	offset   uint64 // of Received, before the aggregator counted from 0
	seen     uint64 // of the aggregator's count
}

// pair is what was written and what was received at one moment. Both only grow.
type pair struct {
	At       int64  `json:"at"` // Unix milliseconds
	Written  uint64 `json:"w"`
	Received uint64 `json:"r"`
}

// deficit is what is written and not received, lost or on its way. Only its differences mean something.
func (p pair) deficit() int64 { return int64(p.Written - p.Received) }

func newCoverage(received func(string) (uint64, uint64), idle time.Duration, now time.Time) *coverage {
	return &coverage{received: received, idle: idle, began: now, nodes: map[string]*covered{}}
}

func (c *coverage) refused() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skipped
}

// count is how many of a node's entries were received.
func (c *coverage) count(node string, n *covered) uint64 {
	now, tcp := c.received(node)
	if n.Flushed {
		now += tcp
	}
	if now < n.seen { // forgotten, and back
		n.offset += n.seen
	}
	n.seen = now
	return n.offset + now
}

// sample takes note of what an Envoy says that it wrote.
func (c *coverage) sample(s stats.Sample) {
	if !s.HasFlushed && !s.HasWritten {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[s.Node]
	if n == nil {
		if len(c.nodes) >= maxCovered {
			c.skipped++
			return
		}
		n = &covered{}
		c.nodes[s.Node] = n
	}
	if n.Flushed && !s.HasFlushed && !s.Restarted {
		return // it told more before, and will again
	}
	if n.Flushed != s.HasFlushed {
		*n = covered{Flushed: s.HasFlushed}
	}
	now := pair{At: s.At.UnixMilli(), Written: s.Written, Received: c.count(s.Node, n)}
	if s.HasFlushed {
		now.Written = s.Flushed
	}
	if last := len(n.Samples) - 1; s.Restarted || last >= 0 && now.Written < n.Samples[last].Written {
		n.Samples = nil
	}
	n.add(now)
}

func (n *covered) add(now pair) {
	if i := len(n.Samples); i >= 4 && n.Samples[i-1].At-n.Samples[i-3].At < coverageStep.Milliseconds() {
		n.Samples[i-2] = n.Samples[i-1]
		n.Samples = n.Samples[:i-1]
	}
	n.Samples = append(n.Samples, now)
	if first := n.base(coverageWindow) - 1; first > 0 { // base needs the one before it
		n.Samples = append(n.Samples[:0], n.Samples[first:]...)
	}
}

// base is the index of the newest sample that is a window older than the last one and has two after it, or 0.
func (n *covered) base(window time.Duration) int {
	i := len(n.Samples) - 3
	for ; i > 0; i-- {
		if n.Samples[len(n.Samples)-1].At-n.Samples[i].At >= window.Milliseconds() {
			break
		}
	}
	return max(0, i)
}

// ratio is the share of what was written over the window that was received. It is not known before the fourth sample.
//
// Entries on their way, and samples that were overtaken by them, make a single sample's deficit too large or too small by a
// few. A loss stays. So it counts from the larger of the first two deficits to the smaller of the last two.
func (n *covered) ratio() (ratio float64, known bool) {
	last := len(n.Samples) - 1
	if last < 3 {
		return 0, false
	}
	first := max(0, n.base(coverageWindow)-1)
	from, to, previous := n.Samples[first], n.Samples[last], n.Samples[last-1]
	if next := n.Samples[first+1]; next.deficit() > from.deficit() {
		if noise(from, next) {
			from.Received = from.Written - uint64(next.deficit())
		} else {
			from = next
		}
	}
	if previous.deficit() < to.deficit() {
		if noise(previous, to) {
			to.Received = to.Written - uint64(previous.deficit())
		} else {
			to = previous
		}
	}
	if to.Written <= from.Written {
		return 1, true // nothing was written, nothing was lost
	}
	written, lost := float64(to.Written-from.Written), float64(to.deficit()-from.deficit())
	if !n.Flushed { // what Envoy still buffers is written already
		newest := n.Samples[last]
		lost -= float64(newest.Written-previous.Written) * float64(alsBuffer.Milliseconds()) / max(1, float64(newest.At-previous.At))
	}
	return min(1, max(0, 1-max(0, lost)/written)), true
}

// noise tells whether two samples in a row differ by so little that it need not be a loss: the window stays as it is.
func noise(x, y pair) bool { return 20*(y.deficit()-x.deficit()) <= int64(y.Written-x.Written) }

// silent tells whether the node wrote entries for a while of which none arrived.
func (n *covered) silent() bool {
	last := len(n.Samples) - 1
	if last < 2 {
		return false
	}
	base := n.Samples[n.base(silence)]
	return n.Samples[last].At-base.At >= silence.Milliseconds() &&
		n.Samples[last].Received == base.Received && n.Samples[last-1].Written > base.Written
}
