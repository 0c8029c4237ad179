package failover

import (
	"context"
	"sync"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

// view is all that others may know of the loop, at one moment. It is immutable.
type view struct {
	at       time.Time
	decision Decision
	opinions []Opinion
	holds    []Hold
	asked    Shift // what the plan asks for now
	active   bool  // it asks for something
	aborted  aborted
	alarms   map[string]time.Time // of the decision, since when
}

// aborted is why the last plan did not come to its end; the zero value means that it did, that a person ended it, or that there is none.
type aborted struct {
	id, why string
	at      time.Time
}

// board shows the newest view to any number of readers, none of which can hinder another or the loop.
type board struct {
	mu      sync.Mutex
	now     *view
	changed chan struct{} // closed when there is another view
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

// get gives the newest view, nil before the first, and what is closed when there is another.
func (b *board) get() (*view, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now, b.changed
}

func (b *board) put(v *view) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.now, b.changed = v, make(chan struct{})
}

// watch calls apply with what is served after the version seen, until ctx ends. An apply that takes its time misses what was overtaken meanwhile.
func (b *board) watch(ctx context.Context, seen uint64, apply func(*xds.Serving)) {
	for ctx.Err() == nil {
		now, changed := b.get()
		if now != nil && now.decision.Serving.Version > seen {
			seen = now.decision.Serving.Version
			apply(&now.decision.Serving)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}
