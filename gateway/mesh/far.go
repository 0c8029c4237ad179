package mesh

import "unique"

// far is what a stream knows of an address: the IDC there, or that nobody knew it at the time.
type far struct {
	idc        unique.Handle[string] // zero: not known
	generation uint64                // of the addresses, when they were asked
}

// farOf tells the IDC of the other end of a request, by its address: that of the reporter where it is not known.
func (s *Stream) farOf(k *key, e *entry) unique.Handle[string] {
	var at *address
	switch k.reporter {
	case reporterSource:
		at = &e.upstream
	case reporterDestination:
		if at = &e.remote; !e.readRemote() {
			return s.idc
		}
	default:
		return s.idc
	}
	if !at.socket || len(at.ip) == 0 {
		return s.idc
	}
	hash := s.hash(at.ip)
	known, ok := s.fars[hash]
	if generation := s.aggregator.addresses.generation.Load(); !ok || known.idc == (unique.Handle[string]{}) && known.generation != generation {
		if len(s.fars) >= maxStreamAddrs {
			clear(s.fars)
		}
		known = far{s.aggregator.addresses.idc(at.ip), generation}
		s.fars[hash] = known
	}
	if known.idc == (unique.Handle[string]{}) {
		return s.idc
	}
	return known.idc
}
