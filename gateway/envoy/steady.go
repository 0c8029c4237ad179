package envoy

import (
	"maps"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/lockkeeper/lockkeeper/xds"
)

// servings is what the receiver needs of an extension that moves traffic between IDCs: failover.
type servings interface {
	// WatchServing calls apply with what is served, and then with each change, until stop is called.
	WatchServing(apply func(*xds.Serving)) (stop func())
}

// steady remembers since when no traffic has been moved between IDCs: by verdicts, by a shift or by hand.
type steady struct {
	mu      sync.Mutex
	weights map[string][2]uint32
	since   time.Time
	unwatch []func()
}

// watch begins with what is served now, which is no change.
func (s *steady) watch(extensions map[component.ID]component.Component) {
	for _, extension := range extensions {
		if w, ok := extension.(servings); ok {
			s.unwatch = append(s.unwatch, w.WatchServing(func(v *xds.Serving) { s.apply(v, time.Now()) }))
		}
	}
}

func (s *steady) stop() {
	for _, stop := range s.unwatch {
		stop()
	}
	s.unwatch = nil
}

// apply takes up what is served from now on. What is taken out within an IDC moves nothing between them.
func (s *steady) apply(v *xds.Serving, now time.Time) {
	weights := make(map[string][2]uint32, len(v.IDCs))
	for name, idc := range v.IDCs {
		weights[name] = [2]uint32{idc.Entry, idc.Mesh}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.weights != nil && !maps.Equal(s.weights, weights) {
		s.since = now
	}
	s.weights = weights
}

func (s *steady) from() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}
