package stats

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// requestBytes bounds one request, by estimate.
const requestBytes = 2 << 20

// Flush hands the series that changed or are due to export, with the label gateway, in requests of at most 2 MiB; and once,
// without a value, those whose source has gone silent. What export refuses comes again with the next Flush, which returns the
// first error. One Flush at a time.
func (k *Sink) Flush(now time.Time, gateway string, export func(pmetric.Metrics) error) error {
	k.mu.Lock()
	nodes := k.list()
	due := dueAt(k.flushed, now, k.options.Refresh)
	k.flushed = now
	k.mu.Unlock()

	var first error
	b := newBatch(now, gateway)
	send := func() {
		if len(b.written) == 0 {
			return
		}
		if err := export(b.metrics); err != nil {
			b.takeBack()
			if first == nil {
				first = err
			}
		}
		b = newBatch(now, gateway)
	}
	seconds := uint32(now.Sub(k.began) / time.Second)
	for _, n := range nodes {
		for at := 0; at >= 0; {
			n.mu.Lock()
			at = n.write(b, at, seconds, due)
			n.mu.Unlock()
			if at >= 0 {
				send()
			}
		}
	}
	send()
	if now.Sub(k.swept) >= time.Minute {
		k.sweep(now)
	}
	return first
}

// dueAt are the phases of the refresh time that lie after one time and up to another.
func dueAt(after, upTo time.Time, refresh time.Duration) []bool {
	due := make([]bool, refresh/time.Second)
	phases := int64(len(due))
	for s := max(after.Unix(), upTo.Unix()-phases) + 1; s <= upTo.Unix(); s++ {
		due[s%phases] = true
	}
	return due
}

// write puts what is to be handed on into b, from the series at. It returns where to go on when b is full, -1 at the end.
func (n *node) write(b *batch, at int, seconds uint32, due []bool) int {
	silence := n.silence()
	silent := b.now.Sub(n.last) > silence
	for ; at < len(n.series); at++ {
		s := &n.series[at]
		switch {
		case s.hidden || s.flags&unread != 0:
		case s.flags&changed != 0:
			b.value(n, at)
		case silent || seconds-min(seconds, s.seen) > uint32(silence/time.Second):
			if s.flags&(stale|known) == known {
				b.gone(n, at)
			}
		case due[s.phase]:
			b.value(n, at)
		}
		if b.weight >= requestBytes {
			return at + 1
		}
	}
	return -1
}

// sweep forgets what was not sent for the idle time.
func (k *Sink) sweep(now time.Time) {
	k.swept = now
	since := now.Add(-k.options.Idle)
	seconds := max(0, int64(since.Sub(k.began)/time.Second))
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, n := range k.nodes {
		n.mu.Lock()
		k.series.Add(-int64(n.forget(uint32(seconds))))
		if len(n.series) == 0 && n.open == 0 && n.last.Before(since) {
			delete(k.nodes, key)
		}
		n.mu.Unlock()
	}
	k.shapes.forget(seconds)
}

// forget drops the series that were not seen since then and are marked as gone, and returns how many.
func (n *node) forget(since uint32) int {
	before := len(n.series)
	kept := n.series[:0]
	for _, s := range n.series {
		if s.seen < since && (s.flags&stale != 0 || s.flags&known == 0) {
			delete(n.index, s.identity)
			continue
		}
		n.index[s.identity] = uint32(len(kept))
		s.shape.used.Store(max(s.shape.used.Load(), int64(s.seen), int64(since)))
		kept = append(kept, s)
	}
	if len(kept) == before {
		return 0
	}
	clear(n.series[len(kept):])
	for i := range kept {
		kept[i].next = none
	}
	n.series = kept
	n.compacted++
	return before - len(kept)
}
