package xds

import (
	"errors"
	"fmt"
	"maps"
	"sync"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// overlay lays what is decided over what there is to serve, and tells the cache. It works out anew only what a change can concern.
type overlay struct {
	cache  *Cache
	guard  guard
	assign func(*Cluster, *Serving) (*endpointv3.ClusterLoadAssignment, tally)

	mu      sync.Mutex
	content *Content // nil: not known yet
	serving *Serving // nil: not known yet
	index   map[string][]int
	names   map[string]map[string]struct{} // in the cache, by type URL
	sound   bool                           // the cache is as content and serving want it

	tallies    []tally // by cluster
	total      tally
	unweighted []int64 // edge routes, by route configuration
}

func newOverlay(cache *Cache) *overlay {
	return &overlay{cache: cache, assign: assign}
}

// changes are made by one Update.
type changes map[string]map[string]*Resource

func (c changes) put(typeURL, name string, r *Resource) {
	if c[typeURL] == nil {
		c[typeURL] = map[string]*Resource{}
	}
	c[typeURL][name] = r
}

// setContent takes up what there is to serve.
func (o *overlay) setContent(content *Content) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.content, o.index = content, content.index()
	return o.renew()
}

// setServing takes up what is decided. After mistakes everything is worked out anew.
func (o *overlay) setServing(s *Serving) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.serving
	o.serving = s
	if before == nil || o.content == nil || !o.sound {
		return o.renew()
	}
	o.sound = false
	all := changes{}
	clusters, routes := o.concerned(before, s)
	var errs []error
	for n := range clusters {
		errs = append(errs, o.place(all, n))
	}
	if routes {
		errs = append(errs, o.weigh(all))
	}
	return o.update(all, errs)
}

func (o *overlay) update(all changes, errs []error) error {
	o.cache.Update(all)
	err := errors.Join(errs...)
	o.sound = err == nil
	return err
}

// renew works out everything, if there is something to serve and it is known how.
func (o *overlay) renew() error {
	o.sound = false
	if o.content == nil || o.serving == nil {
		return nil
	}
	all := changes{}
	o.tallies, o.total = make([]tally, len(o.content.Clusters)), tally{}
	o.unweighted = make([]int64, len(o.content.Routes))
	var errs []error
	for n, cluster := range o.content.Clusters {
		all.put(ClusterType, cluster.Name, cluster.resource)
		errs = append(errs, o.place(all, n))
	}
	for name, listener := range o.content.Listeners {
		all.put(ListenerType, name, listener)
	}
	errs = append(errs, o.weigh(all))
	now := o.content.names()
	for typeURL, names := range o.names {
		for name := range names {
			if _, ok := now[typeURL][name]; !ok {
				all.put(typeURL, name, nil)
			}
		}
	}
	o.names = now
	return o.update(all, errs)
}

// concerned tells whose assignments a decision may have changed, and whether routes have.
func (o *overlay) concerned(before, now *Serving) (clusters map[int]struct{}, routes bool) {
	clusters = map[int]struct{}{}
	sameMesh := maps.EqualFunc(before.IDCs, now.IDCs, func(a, b IDC) bool { return a.Mesh == b.Mesh })
	sameEntry := maps.EqualFunc(before.IDCs, now.IDCs, func(a, b IDC) bool { return a.Entry == b.Entry })
	if known := (before.IDCs == nil) == (now.IDCs == nil); !known || !sameMesh {
		for n := range o.content.Clusters {
			clusters[n] = struct{}{}
		}
		return clusters, !known || !sameEntry
	}
	differs := func(a, b map[string]Out) {
		for subject, out := range a {
			if other, ok := b[subject]; ok && other.Drain == out.Drain {
				continue
			}
			for _, n := range o.index[subject] {
				clusters[n] = struct{}{}
			}
		}
	}
	differs(before.Out, now.Out)
	differs(now.Out, before.Out)
	return clusters, !sameEntry
}

// place works out one cluster. One that fails keeps its last state, and keeps no other from its own.
func (o *overlay) place(to changes, n int) error {
	cluster := o.content.Clusters[n]
	err := o.guard.do(func() error {
		assignment, t := o.assign(cluster, o.serving)
		resource, err := NewResource(cluster.Name, assignment)
		if err != nil {
			return err
		}
		o.total.add(&o.tallies[n], -1)
		o.total.add(&t, 1)
		o.tallies[n] = t
		to.put(AssignmentType, cluster.Name, resource)
		return nil
	})
	if err != nil {
		return fmt.Errorf("cluster %q: %w", cluster.Name, err)
	}
	return nil
}

func (o *overlay) weigh(to changes) error {
	var errs []error
	for n, route := range o.content.Routes {
		errs = append(errs, o.guard.do(func() error {
			config, unweighted := route.weigh(o.serving)
			resource, err := NewResource(config.GetName(), config)
			if err != nil {
				return err
			}
			o.unweighted[n] = unweighted
			to.put(RouteType, config.GetName(), resource)
			return nil
		}))
	}
	return errors.Join(errs...)
}

// counts tells what became of all endpoints, and how many clusters and edge routes do not follow the IDCs' weights.
func (o *overlay) counts() (total tally, unplaced, unweighted int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := range o.tallies {
		if o.tallies[n].unplaced {
			unplaced++
		}
	}
	for _, n := range o.unweighted {
		unweighted += n
	}
	return o.total, unplaced, unweighted
}
