package xds

import (
	"maps"
	"slices"
)

// everything is the name that subscribes to all resources of a type.
const everything = "*"

// subscription is what a stream wants of one type, and what it is still owed.
type subscription struct {
	typeURL  string
	wildcard bool
	legacy   bool // state of the world: it named nothing yet, which means everything
	names    map[string]struct{}

	owed   map[string]struct{} // names to answer, changed or not
	all    bool                // everything is owed
	answer bool                // a response is owed, even if it is empty
	known  map[string]string   // versions that the client has from an earlier stream, by name; until the first response

	nonce, version string // of the last response

	named, pending int // bytes of names, and of owed and known
}

func newSubscription(typeURL string) *subscription {
	return &subscription{typeURL: typeURL, names: map[string]struct{}{}, owed: map[string]struct{}{}}
}

// byNameOnly tells of which types a client that names nothing wants nothing.
func byNameOnly(typeURL string) bool { return typeURL == AssignmentType || typeURL == RouteType }

// whole tells of which types a DiscoveryResponse says what there is by what it leaves out.
func whole(typeURL string) bool { return typeURL == ClusterType || typeURL == ListenerType }

func (s *subscription) covers(name string) bool {
	if s.wildcard {
		return true
	}
	_, ok := s.names[name]
	return ok
}

// add subscribes to a name, known or not: it is owed.
func (s *subscription) add(name string) {
	if name == everything {
		s.wildcard, s.all, s.answer = true, true, true
		return
	}
	put(s.names, name, &s.named)
	put(s.owed, name, &s.pending)
}

// put adds a name to a set, of which it is known how many bytes it has.
func put(to map[string]struct{}, name string, bytes *int) {
	if _, ok := to[name]; !ok {
		to[name] = struct{}{}
		*bytes += len(name)
	}
}

// drop tells whether the name was there.
func drop(from map[string]struct{}, name string, bytes *int) bool {
	_, ok := from[name]
	if ok {
		delete(from, name)
		*bytes -= len(name)
	}
	return ok
}

// remove unsubscribes from a name. If everything is still wanted, the client has to be told whether that includes it.
func (s *subscription) remove(name string) {
	if name == everything {
		s.wildcard, s.all, s.answer = false, false, false
		return
	}
	had := drop(s.names, name, &s.named)
	drop(s.owed, name, &s.pending)
	if had && s.wildcard {
		put(s.owed, name, &s.pending)
	}
}

// quiet tells that nothing is owed but what changes.
func (s *subscription) quiet() bool { return len(s.owed) == 0 && !s.all && !s.answer && s.known == nil }

// due is the sorted names to look at: what is owed, and what changed of what is wanted. It settles the debt.
func (s *subscription) due(c *Cache, b *batch) []string {
	due := s.owed
	if s.all {
		for r := range c.live(s.typeURL) {
			due[r.Name] = struct{}{}
		}
	}
	for name := range s.known {
		if s.covers(name) {
			due[name] = struct{}{}
		}
	}
	if b != nil {
		for i := range len(b.changed) + len(b.removed) {
			if name := b.at(i).Name; s.covers(name) {
				due[name] = struct{}{}
			}
		}
	}
	s.owed, s.all, s.answer, s.known, s.pending = map[string]struct{}{}, false, false, nil, 0
	return slices.Sorted(maps.Keys(due))
}
