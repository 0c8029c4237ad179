package xds

import (
	"slices"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/grpc/mem"
)

// applyState reads a DiscoveryRequest, which names the whole subscription. It tells whether the request is of use: one that answers an older response is
// not, since the client has yet to answer the last one, and says there what it wants.
func (s *subscription) applyState(r *request, first bool) bool {
	if !first && r.nonce != s.nonce {
		return false
	}
	switch {
	case len(r.names) > 0:
		s.legacy = false
	case first:
		s.answer = true
		s.legacy = !byNameOnly(s.typeURL)
	}
	wanted := make(map[string]struct{}, len(r.names))
	for _, name := range r.names {
		wanted[name] = struct{}{}
	}
	_, wildcard := wanted[everything]
	delete(wanted, everything)
	if wildcard = wildcard || s.legacy; wildcard && !s.wildcard {
		s.add(everything)
	} else if !wildcard && s.wildcard {
		s.remove(everything)
	}
	for name := range s.names {
		if _, ok := wanted[name]; !ok {
			drop(s.names, name, &s.named)
			drop(s.owed, name, &s.pending)
		}
	}
	for name := range wanted {
		if _, ok := s.names[name]; !ok {
			s.add(name)
		}
	}
	return true
}

// stateResponses are what a stream of the state of the world is to be sent of one type.
func (s *subscription) stateResponses(c *Cache, p *push, b *batch) phases {
	if !s.quiet() {
		return s.stateOwed(c, p, b)
	}
	if b == nil {
		return phases{}
	}
	var room [64]byte
	set, any := b.pick(s, room[:0])
	if !any {
		return phases{}
	}
	if !whole(s.typeURL) {
		return b.share(set, func() phases {
			changed, removed := b.picked(set)
			return statePhases(s.typeURL, b.version, p.split(), changed, emptied(s.typeURL, removed))
		})
	}
	encode := func() phases {
		changed, removed := b.picked(set)
		return s.wholePhases(c, p.split(), changed, removed)
	}
	if !s.wildcard {
		return encode()
	}
	return b.share(set, encode)
}

// stateOwed answers a request, and tells of what changed meanwhile.
func (s *subscription) stateOwed(c *Cache, p *push, b *batch) phases {
	answer := s.answer
	var changed, removed []*Resource
	for _, name := range s.due(c, b) {
		if r := c.find(s.typeURL, name); r != nil {
			changed = append(changed, r)
		} else if b != nil {
			if i, was := slices.BinarySearchFunc(b.removed, &Resource{Name: name}, byName); was {
				removed = append(removed, b.removed[i])
			}
		}
	}
	version := c.version(s.typeURL)
	switch {
	case len(changed)+len(removed) == 0 && answer:
		return phases{encodeState(s.typeURL, version, nil)}
	case len(changed)+len(removed) == 0:
		return phases{}
	case whole(s.typeURL):
		return s.wholePhases(c, p.split(), changed, removed)
	}
	return statePhases(s.typeURL, version, p.split(), changed, emptied(s.typeURL, removed))
}

// wholePhases sends all that is wanted of a type of which what is left out is gone.
func (s *subscription) wholePhases(c *Cache, split bool, changed, removed []*Resource) phases {
	var all []*Resource
	for r := range c.live(s.typeURL) {
		if s.covers(r.Name) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, byName)
	version := c.version(s.typeURL)
	now := encodeState(s.typeURL, version, all)
	switch {
	case !split || len(removed) == 0:
		return phases{now}
	case len(changed) == 0:
		return phases{nil, now}
	}
	return phases{encodeState(s.typeURL, version, slices.Concat(all, removed)), now}
}

// statePhases makes one response, or two if what is gone has to wait.
func statePhases(typeURL, version string, split bool, changed, emptied []*Resource) phases {
	var before, after mem.BufferSlice
	if !split {
		changed, emptied = slices.Concat(changed, emptied), nil
	}
	if len(changed) > 0 {
		before = encodeState(typeURL, version, changed)
	}
	if len(emptied) > 0 {
		after = encodeState(typeURL, version, emptied)
	}
	return phases{before, after}
}

// emptied are the assignments without endpoints that stand for those that are gone, which a DiscoveryResponse cannot say.
func emptied(typeURL string, removed []*Resource) (all []*Resource) {
	if typeURL != AssignmentType {
		return nil
	}
	for _, was := range removed {
		if r, err := NewResource(was.Name, &endpointv3.ClusterLoadAssignment{ClusterName: was.Name}); err == nil {
			all = append(all, r)
		}
	}
	return all
}
