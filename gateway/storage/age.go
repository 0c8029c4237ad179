package storage

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
)

// ages knows when requests were queued that the plugin has not taken yet: of a queue in memory each one, of a queue on disk
// those that were read from it. The oldest of all is among these, as requests leave a queue in the order in which they came; but
// for those that a gateway had read when it ended, which the next one puts behind the others: it reads them once to do so.
type ages struct {
	mu      sync.Mutex
	waiting map[int64]struct{} // when they were queued, in Unix nanoseconds
	last    int64              // what stamp gave
}

func newAges() *ages {
	return &ages{waiting: map[int64]struct{}{}}
}

// stamp notes on a request when it was queued, unless it was before. No two of a gateway have the same time.
func (a *ages) stamp(r *request) {
	if r.queued != 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = max(a.last+1, time.Now().UnixNano())
	r.queued = a.last
}

func (a *ages) add(r *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[r.queued] = struct{}{}
}

// Ref is called by a queue in memory before it takes a request.
func (a *ages) Ref(r xexporterhelper.Request) {
	a.stamp(r.(*request))
	a.add(r.(*request))
}

// Unref is called by every queue when a request was taken or dropped.
func (a *ages) Unref(r xexporterhelper.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, r.(*request).queued)
}

// oldest is how long the oldest request has waited; 0 when none does.
func (a *ages) oldest() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now().UnixNano()
	first := now
	for queued := range a.waiting {
		first = min(first, queued)
	}
	return time.Duration(now - first)
}
