package mesh

import (
	"container/list"
	"sync/atomic"
)

// Bounds of the failed requests that are kept to be shown. It is a sample, of the newest: nothing else depends on it.
const (
	failuresKept    = 20       // of an edge
	failuresWait    = 2        // of a series in a stream, until the next merge
	failuresStream  = 64       // of a stream
	failureMost     = 16 << 10 // bytes of an entry: one that has more is not kept
	failureEdges    = 2000     // that have any
	failureBytes    = 16 << 20 // of all that are kept
	failuresWaiting = 4 << 20  // bytes of all that wait
)

// Failure is a failed request or connection.
type Failure struct {
	Reporter string
	Flags    Flags
	TCP      bool
	Raw      []byte // HTTPAccessLogEntry, or TCPAccessLogEntry if TCP: not to be changed
}

// failures are those of all edges.
type failures struct {
	waiting atomic.Int64 // bytes
	kept    int          // bytes; as the next, under the aggregator's lock
	edges   list.List    // of *edge, the one that failed last at the end
}

// failure is one of an edge.
type failure struct {
	flags Flags
	raw   []byte
}

// fail keeps a failed entry until the next merge. Of many the last are kept, in the room of those before.
func (s *Stream) fail(c *counts, raw []byte) {
	if len(raw) > failureMost {
		return
	}
	if len(c.failed) < failuresWait {
		if s.failures == failuresStream {
			return
		}
		waiting := &s.aggregator.failures.waiting
		if waiting.Add(int64(len(raw))) > failuresWaiting {
			waiting.Add(-int64(len(raw)))
			return
		}
		s.failures++
		c.failed = append(c.failed, append(make([]byte, 0, len(raw)), raw...)) // of no more room than was asked for
		return
	}
	if to := &c.failed[c.requests%failuresWait]; len(raw) <= cap(*to) {
		*to = append((*to)[:0], raw...)
	}
}

// takeFailures moves what waited with c to its edge. a.mu is held.
func (a *Aggregator) takeFailures(e *edge, c *counts) {
	f := &a.failures
	for _, raw := range c.failed {
		f.waiting.Add(-int64(cap(raw)))
		if len(e.failures) == failuresKept {
			f.kept -= cap(e.failures[0].raw)
			e.failures = append(e.failures[:0], e.failures[1:]...)
		}
		e.failures = append(e.failures, failure{c.key.flags, raw})
		f.kept += cap(raw)
	}
	if e.failing == nil {
		e.failing = f.edges.PushBack(e)
	} else {
		f.edges.MoveToBack(e.failing)
	}
	for f.kept > failureBytes || f.edges.Len() > failureEdges {
		f.forget(f.edges.Front().Value.(*edge))
	}
}

// forget drops an edge's failures. a.mu is held.
func (f *failures) forget(e *edge) {
	if e.failing == nil {
		return
	}
	for _, one := range e.failures {
		f.kept -= cap(one.raw)
	}
	f.edges.Remove(e.failing)
	e.failures, e.failing = nil, nil
}

// Failures returns the failed requests of a link that are kept, of each reporter in the order in which they came.
func (a *Aggregator) Failures(l *Link) []Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Failure
	for _, k := range l.edges {
		e := a.edges[k]
		if e == nil {
			continue
		}
		for _, one := range e.failures {
			all = append(all, Failure{k.reporter.String(), one.flags, k.protocol == protocolTCP, one.raw})
		}
	}
	return all
}
