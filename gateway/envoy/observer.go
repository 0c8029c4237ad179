package envoy

import (
	"slices"
	"sync"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// watcher sees the final entries that it wants, in the goroutine of their stream: it must be quick and must not block.
type watcher interface {
	want(failed bool) bool
	see(*mesh.Observed)
}

// watchers are those who watch now. The aggregator has one observer, or none when nobody watches.
type watchers struct {
	observe func(*mesh.Observer)

	mu  sync.Mutex
	all []watcher // never changed, only replaced: the observer reads it
}

func (w *watchers) add(one watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(append(slices.Clone(w.all), one))
}

func (w *watchers) remove(one watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(slices.DeleteFunc(slices.Clone(w.all), func(other watcher) bool { return other == one }))
}

func (w *watchers) set(all []watcher) {
	w.all = all
	switch len(all) {
	case 0:
		w.observe(nil)
	case 1:
		w.observe(&mesh.Observer{Want: all[0].want, See: all[0].see})
	default: // each is asked once, as one that wants a share of the entries counts on
		w.observe(&mesh.Observer{
			Want: func(bool) bool { return true },
			See: func(o *mesh.Observed) {
				for _, one := range all {
					if one.want(o.Failed) {
						one.see(o)
					}
				}
			},
		})
	}
}
