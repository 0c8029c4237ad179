package xds

import "google.golang.org/grpc/mem"

// applyDelta reads a DeltaDiscoveryRequest, which says what changes of the subscription.
func (s *subscription) applyDelta(r *request, first bool) {
	if first {
		s.known = r.known
		for name, version := range r.known {
			s.pending += len(name) + len(version)
		}
		if len(r.names) == 0 && !byNameOnly(s.typeURL) {
			s.add(everything)
		}
	}
	for _, name := range r.names {
		s.add(name)
	}
	for _, name := range r.unsubscribe {
		s.remove(name)
	}
}

// deltaResponses are what a delta stream is to be sent of one type.
func (s *subscription) deltaResponses(c *Cache, p *push, b *batch) phases {
	if s.quiet() {
		if b == nil {
			return phases{}
		}
		var room [64]byte
		set, any := b.pick(s, room[:0])
		if !any {
			return phases{}
		}
		return b.share(set, func() phases {
			changed, gone := b.picked(set)
			removed := make([]string, len(gone))
			for i, r := range gone {
				removed[i] = r.Name
			}
			return deltaPhases(s.typeURL, b.version, p.split(), changed, removed)
		})
	}
	var changed []*Resource
	var removed []string
	answer, known := s.answer, s.known
	for _, name := range s.due(c, b) {
		r := c.find(s.typeURL, name)
		if r == nil {
			removed = append(removed, name)
		} else if version, ok := known[name]; !ok || version != r.Version {
			changed = append(changed, r)
		}
	}
	version := c.version(s.typeURL)
	if len(changed)+len(removed) == 0 && answer {
		return phases{encodeDelta(s.typeURL, version, nil, nil)}
	}
	return deltaPhases(s.typeURL, version, p.split(), changed, removed)
}

// deltaPhases makes one response, or two if what is gone has to wait.
func deltaPhases(typeURL, version string, split bool, changed []*Resource, removed []string) phases {
	var none mem.BufferSlice
	switch {
	case len(changed)+len(removed) == 0:
		return phases{}
	case !split:
		return phases{encodeDelta(typeURL, version, changed, removed)}
	case len(removed) == 0:
		return phases{encodeDelta(typeURL, version, changed, nil)}
	case len(changed) == 0:
		return phases{none, encodeDelta(typeURL, version, nil, removed)}
	}
	return phases{encodeDelta(typeURL, version, changed, nil), encodeDelta(typeURL, version, nil, removed)}
}
