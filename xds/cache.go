package xds

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// Cache is what is served: resources by type and name. An Update wakes the streams; each takes what changed since it last looked, when it is ready to.
// So nothing is queued for a stream: one that is slow gets the last state of what changed meanwhile.
type Cache struct {
	mu      sync.RWMutex // held while streams look: they share it
	number  uint64       // of the last Update that changed something
	types   map[string]*catalog
	streams map[*stream]struct{}

	pushMu sync.Mutex
	pushes map[uint64]*push // what changed since an Update, by its number; only of the state that is
}

// catalog is the resources of one type.
type catalog struct {
	entries map[string]*entry
	gone    int    // how many entries are
	sum     uint64 // of all resources
}

// entry is a resource, or the last one there was.
type entry struct {
	resource *Resource
	gone     bool
	changed  uint64 // the number of the Update
	at       time.Time
}

// tombstones is how many entries may be gone, beyond as many as there are, before those that each stream knows of are forgotten.
const tombstones = 1024

// NewCache returns an empty cache.
func NewCache() *Cache {
	return &Cache{types: map[string]*catalog{}, streams: map[*stream]struct{}{}, pushes: map[uint64]*push{}}
}

// Update changes resources, by type URL and name; nil: it is gone. What it brings reaches a stream in ADS's order: clusters, assignments, listeners, routes,
// and then what is gone the other way round. A resource whose version stays is no change.
func (c *Cache) Update(changes map[string]map[string]*Resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.update(changes)
}

// Replace makes all the resources of one type.
func (c *Cache) Replace(typeURL string, all map[string]*Resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changes := make(map[string]*Resource, len(all))
	for name, r := range all {
		changes[name] = r
	}
	for r := range c.live(typeURL) {
		if all[r.Name] == nil {
			changes[r.Name] = nil
		}
	}
	c.update(map[string]map[string]*Resource{typeURL: changes})
}

func (c *Cache) update(changes map[string]map[string]*Resource) {
	u := update{cache: c, number: c.number + 1, at: time.Now()}
	for typeURL, resources := range changes {
		for name, r := range resources {
			u.put(typeURL, name, r)
		}
	}
	// A cluster that changed is a new one to Envoy, and warms until its assignment comes again.
	for _, r := range u.clusters {
		u.touch(r.assignment)
	}
	if !u.changed {
		return
	}
	c.number = u.number
	clear(c.pushes)
	for typeURL := range changes {
		c.bury(c.types[typeURL])
	}
	for st := range c.streams {
		st.awake()
	}
}

// update is one Update under way.
type update struct {
	cache    *Cache
	number   uint64
	at       time.Time
	changed  bool
	clusters []*Resource
}

func (u *update) put(typeURL, name string, r *Resource) {
	t := u.cache.types[typeURL]
	if t == nil {
		t = &catalog{entries: map[string]*entry{}}
		u.cache.types[typeURL] = t
	}
	e := t.entries[name]
	switch {
	case r == nil && (e == nil || e.gone), r != nil && e != nil && !e.gone && e.resource.Version == r.Version:
		return
	case r == nil:
		t.gone++
		t.sum ^= e.resource.sum
		e.gone = true
	default:
		r = r.prepared()
		if e == nil {
			e = &entry{}
			t.entries[name] = e
		} else if e.gone {
			t.gone--
		} else {
			t.sum ^= e.resource.sum
		}
		t.sum ^= r.sum
		e.resource, e.gone = r, false
		if r.assignment != "" {
			u.clusters = append(u.clusters, r)
		}
	}
	e.changed, e.at, u.changed = u.number, u.at, true
}

// touch sends an assignment again that did not change.
func (u *update) touch(name string) {
	if t := u.cache.types[AssignmentType]; t != nil {
		if e := t.entries[name]; e != nil && !e.gone {
			e.changed, e.at = u.number, u.at
		}
	}
}

// bury forgets what is gone when every stream has been told.
func (c *Cache) bury(t *catalog) {
	if t == nil || t.gone <= len(t.entries)-t.gone+tombstones {
		return
	}
	oldest := c.number
	for st := range c.streams {
		oldest = min(oldest, st.seen.Load())
	}
	for name, e := range t.entries {
		if e.gone && e.changed <= oldest {
			delete(t.entries, name)
			t.gone--
		}
	}
}

// live yields the resources of a type.
func (c *Cache) live(typeURL string) func(yield func(*Resource) bool) {
	return func(yield func(*Resource) bool) {
		t := c.types[typeURL]
		if t == nil {
			return
		}
		for _, e := range t.entries {
			if !e.gone && !yield(e.resource) {
				return
			}
		}
	}
}

// find returns nil if there is no such resource.
func (c *Cache) find(typeURL, name string) *Resource {
	if t := c.types[typeURL]; t != nil {
		if e := t.entries[name]; e != nil && !e.gone {
			return e.resource
		}
	}
	return nil
}

// count is how many resources of the type there are.
func (c *Cache) count(typeURL string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if t := c.types[typeURL]; t != nil {
		return len(t.entries) - t.gone
	}
	return 0
}

// version is the same wherever all resources of the type are.
func (c *Cache) version(typeURL string) string {
	if t := c.types[typeURL]; t != nil {
		return strconv.FormatUint(t.sum, 16)
	}
	return "0"
}

// open adds a stream, which knows of nothing that was before.
func (c *Cache) open(st *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st.seen.Store(c.number)
	c.streams[st] = struct{}{}
}

func (c *Cache) close(st *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, st)
}

// since returns what changed since the Update with that number; nil: nothing. Streams that ask for the same share it.
func (c *Cache) since(number uint64) *push {
	if number == c.number {
		return nil
	}
	c.pushMu.Lock()
	defer c.pushMu.Unlock()
	p := c.pushes[number]
	if p == nil {
		p = c.collect(number)
		c.pushes[number] = p
	}
	return p
}

func (c *Cache) collect(number uint64) *push {
	p := &push{batches: map[string]*batch{}}
	for typeURL, t := range c.types {
		b := &batch{typeURL: typeURL, version: c.version(typeURL)}
		for _, e := range t.entries {
			if e.changed <= number {
				continue
			}
			if p.at.IsZero() || e.at.Before(p.at) {
				p.at = e.at
			}
			if e.gone {
				b.removed = append(b.removed, e.resource)
			} else {
				b.changed = append(b.changed, e.resource)
			}
		}
		if len(b.changed)+len(b.removed) > 0 {
			slices.SortFunc(b.changed, byName)
			slices.SortFunc(b.removed, byName)
			p.batches[typeURL] = b
		}
	}
	return p
}
