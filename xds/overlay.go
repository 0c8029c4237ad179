package xds

import (
	"errors"
	"maps"
	"sync"
)

// overlay lays what is decided over what there is to serve, and tells the cache. It works out anew only what a change can concern.
type overlay struct {
	cache *Cache

	mu      sync.Mutex
	content *Content // nil: not known yet
	serving *Serving // nil: not known yet
	index   map[string][]int
	names   map[string]map[string]struct{} // in the cache, by type URL

	tallies    []tally // by cluster
	total      tally
	unweighted []int64 // edge routes, by route configuration
}

func newOverlay(cache *Cache) *overlay {
	return &overlay{cache: cache, names: map[string]map[string]struct{}{}}
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

// setServing takes up what is decided.
func (o *overlay) setServing(s *Serving) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.serving
	o.serving = s
	if before == nil || o.content == nil {
		return o.renew()
	}
	all := changes{}
	clusters, routes := o.concerned(before, s)
	var errs []error
	for n := range clusters {
		errs = append(errs, o.assign(all, n))
	}
	if routes {
		errs = append(errs, o.weigh(all))
	}
	o.cache.Update(all)
	return errors.Join(errs...)
}

// renew works out everything, if there is something to serve and it is known how.
func (o *overlay) renew() error {
	if o.content == nil || o.serving == nil {
		return nil
	}
	all, now := changes{}, changes{}
	o.tallies, o.total = make([]tally, len(o.content.Clusters)), tally{}
	o.unweighted = make([]int64, len(o.content.Routes))
	var errs []error
	for n, cluster := range o.content.Clusters {
		now.put(ClusterType, cluster.Name, cluster.resource)
		errs = append(errs, o.assign(now, n))
	}
	for name, listener := range o.content.Listeners {
		now.put(ListenerType, name, listener)
	}
	errs = append(errs, o.weigh(now))
	for typeURL, resources := range now {
		for name, r := range resources {
			all.put(typeURL, name, r)
		}
	}
	for typeURL, names := range o.names {
		for name := range names {
			if _, ok := now[typeURL][name]; !ok {
				all.put(typeURL, name, nil)
			}
		}
	}
	clear(o.names)
	for typeURL, resources := range now {
		o.names[typeURL] = map[string]struct{}{}
		for name := range resources {
			o.names[typeURL][name] = struct{}{}
		}
	}
	o.cache.Update(all)
	return errors.Join(errs...)
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

func (o *overlay) assign(to changes, n int) error {
	cluster := o.content.Clusters[n]
	assignment, t := assign(cluster, o.serving)
	o.total.add(&o.tallies[n], -1)
	o.total.add(&t, 1)
	o.tallies[n] = t
	resource, err := NewResource(cluster.Name, assignment)
	if err != nil {
		return err
	}
	to.put(AssignmentType, cluster.Name, resource)
	return nil
}

func (o *overlay) weigh(to changes) error {
	var errs []error
	for n, route := range o.content.Routes {
		config, unweighted := route.weigh(o.serving)
		o.unweighted[n] = unweighted
		resource, err := NewResource(config.GetName(), config)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		to.put(RouteType, config.GetName(), resource)
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
