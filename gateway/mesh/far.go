package mesh

import "unique"

// far is what a stream knows of an address: the IDC there, or that nobody knew it at the time.
type far struct {
	id         uint64                // hash of idc
	idc        unique.Handle[string] // zero: not known
	generation uint64                // of the addresses, when they were asked
}

// farOf tells the IDC of the other end of a request, by its address: that of the reporter where it is not known.
func (s *Stream) farOf(k *key, e *entry) unique.Handle[string] {
	var hash uint64
	source := k.reporter == reporterSource
	switch {
	case source && len(e.later.upstream) > 0:
		hash = s.upstreamHash(e)
	case k.reporter == reporterDestination && e.readRemote() && e.remote.socket && len(e.remote.ip) > 0:
		hash = s.secret.hash(e.remote.ip)
	default:
		e.id *= odd
		return s.idc
	}
	known, ok := s.fars.get(hash)
	if generation := s.aggregator.addresses.generation.Load(); !ok || known.idc == (unique.Handle[string]{}) && known.generation != generation {
		known = far{generation: generation}
		if !source {
			known.idc = s.aggregator.addresses.idc(e.remote.ip)
		} else if e.readUpstream() && e.upstream.socket && len(e.upstream.ip) > 0 {
			known.idc = s.aggregator.addresses.idc(e.upstream.ip)
		}
		if known.idc != (unique.Handle[string]{}) {
			known.id = s.secret.hash([]byte(known.idc.Value()))
		}
		s.fars.put(maxStreamAddrs, hash, known)
	}
	e.id = e.id*odd + known.id
	if known.idc == (unique.Handle[string]{}) {
		return s.idc
	}
	return known.idc
}
