package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// stillFor is for how long a source that is back must show the same.
const stillFor = time.Second

// heartbeat writes the plugin's metrics the way of all results, and looks whether they arrive: a storage, or what is between,
// may say yes and keep nothing.
type heartbeat struct {
	plugin  string
	results *results
	within  time.Duration // pace.arrival

	mu                 sync.Mutex
	first, last, found time.Time // the first and last one that was taken; the newest that was found

	// while it settles
	back  time.Time // since when it answers
	shown time.Time // the newest beat that it shows,
	still time.Time // and since when
}

// beat writes one and looks for the newest.
func (h *heartbeat) beat(ctx context.Context) error {
	source := h.results.source
	at := time.Now()
	source.metrics.heartbeat.Set(float64(at.UnixMilli()) / 1000)
	samples, err := source.metrics.samples(h.plugin, h.results.external, at.UnixMilli())
	if err != nil {
		return err
	}
	if err := h.results.send(ctx, samples); err != nil {
		return err
	}
	h.mu.Lock()
	if h.first.IsZero() {
		h.first = at
	}
	h.last = at
	h.mu.Unlock()
	_, err = h.find(ctx)
	return err
}

// find looks for the newest beat.
func (h *heartbeat) find(ctx context.Context) (newest time.Time, err error) {
	source, now := h.results.source, time.Now()
	got, err := source.ask(ctx, heartbeatMetric+labels.FromStrings("plugin", h.plugin).String(), now, source.timeout)
	if err != nil {
		return newest, err
	}
	vector, err := got.vector()
	for _, sample := range vector {
		if at := time.UnixMilli(int64(math.Round(sample.F * 1000))); at.After(newest) && !at.After(now) {
			newest = at
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if newest.After(h.found) {
		h.found = newest
	}
	return newest, err
}

// settled tells whether a source that has just come back has read in what it had taken before: it shows the same newest beat for a while,
// and no older one than it has shown before. That is not waited for longer than for any arrival.
func (h *heartbeat) settled(ctx context.Context) bool {
	newest, err := h.find(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.back.IsZero() {
		h.back = now
	}
	if err != nil || h.still.IsZero() || !newest.Equal(h.shown) {
		h.shown, h.still = newest, now
	}
	settled := err == nil && now.Sub(h.still) >= stillFor && (!newest.Before(h.found) || now.Sub(h.back) > h.within)
	if settled {
		h.back, h.still = time.Time{}, time.Time{}
	}
	return settled
}

// missing is an error when what was taken cannot be found.
func (h *heartbeat) missing() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.found
	if known.Before(h.first) {
		known = h.first
	}
	if late := h.last.Sub(known); late > h.within {
		return fmt.Errorf("the storage takes results, but what it has taken in the last %v cannot be queried", late.Round(time.Second))
	}
	return nil
}
