package mesh

import "time"

// Counter is a metric of Lockkeeper's own: what was counted since Start, or a gauge.
type Counter struct {
	Name   string
	Labels []Label // shared: not to be changed
	Start  time.Time
	New    bool // exported for the first time: its zero at Start has to be written, too
	Ended  bool // exported for the last time: it has no value any more
	Gauge  bool
	Value  float64 // whole, but of a gauge
}

// counter is a Counter in the aggregator's books.
type counter struct {
	Counter
	kept
}

// newCounter starts a counter. a.mu is held.
func (a *Aggregator) newCounter(name string, labels []Label) *counter {
	c := &counter{Counter: Counter{Name: name, Labels: labels, Start: a.lastFlush}, kept: kept{first: true}}
	a.counters[c] = struct{}{}
	return c
}

func (c *counter) add(n uint64, now time.Time) {
	c.Value += float64(n)
	c.touch(now, n > 0)
}

func (c *counter) snapshot() Counter {
	out := c.Counter
	out.New, out.Ended = c.first, c.ended
	return out
}

// sweepCounters ends those that nothing was counted by for a while.
func (a *Aggregator) sweepCounters(since time.Time) {
	for c := range a.counters {
		if c.idle(since) {
			a.drop(c)
		}
	}
}

// drop ends a counter, at once if nobody knows of it. Nothing happens to one that is nil or gone.
func (a *Aggregator) drop(c *counter) {
	switch {
	case c == nil || c.gone:
	case c.first:
		c.forget(a)
	default:
		c.ended = true
	}
}

// forget drops what has ended. a.mu is held.
func (c *counter) forget(a *Aggregator) {
	c.gone = true
	delete(a.counters, c)
	if c.Name == flagsTotal {
		a.flagCounters--
	}
}

// kept is the life of what is exported: each time it has changed, and after a while anyway.
type kept struct {
	changed  bool      // since exported
	first    bool      // never exported
	exported time.Time // zero: never
	hit      time.Time // last needed
	ended    bool      // not needed any more: exported once more, to say so
	gone     bool      // after that: whoever has a pointer to it needs a new one
}

func (k *kept) touch(now time.Time, changed bool) {
	k.changed, k.hit, k.ended = k.changed || changed, now, false
}

func (k *kept) due(now time.Time, refresh time.Duration) bool {
	return k.changed || k.ended || now.Sub(k.exported) >= refresh
}

func (k *kept) idle(since time.Time) bool { return k.hit.Before(since) && !k.changed }

func (k *kept) state() *kept { return k }

// Exporter takes what a Flush exports, in batches that weigh at most MaxWeight (each at least one thing). A batch is only valid
// during the call. What is in a batch for which a func failed comes again with the next flush.
type Exporter struct {
	MaxWeight int

	Series       func([]Series) error
	SeriesWeight func(*Series) int

	Counters      func([]Counter) error
	CounterWeight func(*Counter) int
}

// export hands what is due to a func in batches, and returns the first error.
func export[V any, K interface {
	snapshot() V
	state() *kept
	forget(*Aggregator)
}](a *Aggregator, now time.Time, due []K, maxWeight int, weight func(*V) int, send func([]V) error) (first error) {
	var batch []V
	for len(due) > 0 {
		n, sum := 0, 0
		batch = batch[:0]
		a.mu.Lock()
		for ; n < len(due); n++ {
			v := due[n].snapshot()
			if sum += weight(&v); n > 0 && sum > maxWeight {
				break
			}
			batch = append(batch, v)
			due[n].state().changed = false
		}
		a.mu.Unlock()
		err := send(batch)
		if first == nil {
			first = err
		}
		a.mu.Lock()
		for _, k := range due[:n] {
			s := k.state()
			switch {
			case err != nil:
				s.changed = true
			case s.ended:
				k.forget(a)
			default:
				s.exported, s.first = now, false
			}
		}
		a.mu.Unlock()
		due = due[n:]
	}
	return first
}
