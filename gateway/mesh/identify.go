package mesh

import (
	"math/bits"
	"unique"
)

// peer tells who is on one side: what the entry says of it and, on the own side, what the node says. Peers are remembered by a
// hash of the bytes that describe them, so that these are parsed once.
func (s *Stream) peer(sd *side, own bool) (*party, bool) {
	if sd.empty() {
		if own {
			return s.self, true
		}
		return s.nobody, true
	}
	hash, cacheable := s.sideHash(sd, own)
	if cacheable {
		if known, ok := s.raw.get(hash); ok {
			return known, true
		}
	}
	peer, unambiguous, ok := s.parsePeer(sd, own)
	if !ok {
		return nil, false
	}
	p := s.partyOf(peer)
	if cacheable && unambiguous {
		s.raw.put(maxStreamPeers, hash, p)
	}
	return p, true
}

// sideHash is the same for whatever order the fields of a side's Structs are in: Envoy's encoder writes a map in any order.
// It is 64 bits long and seeded anew in each process, so that nobody can make two sides collide; with 1,024 remembered, one of
// 2^54 lookups of a new side meets another's hash. It is not to be cached when ok is false.
func (s *Stream) sideHash(sd *side, own bool) (hash uint64, ok bool) {
	hash, ok = s.structHash(sd.state, sd.stateKind)
	hash = hash*odd + uint64(sd.stateKind)
	if own { // what the node adds is the same for all
		hash = ^hash
	}
	if len(sd.meta) > 0 && ok {
		var meta uint64
		meta, ok = s.structHash(sd.meta, stateStruct)
		hash = hash*odd + meta
	}
	if sd.tagged {
		for _, v := range sd.tags {
			hash = hash*odd + s.secret.hash(v)
		}
	}
	return hash, ok
}

// structHash sums the hashes of a Struct's fields, each as it is encoded: key and value. The name of a pod is left out: no label
// comes from it. A StringValue is hashed as well: it looks like a Struct of one field.
func (s *Stream) structHash(b []byte, kind stateKind) (sum uint64, ok bool) {
	secrets, fields := s.secret.words, kind == stateStruct
	for len(b) > 0 {
		var of []byte
		if len(b) > 2 && b[0] == 1<<3|length && int(b[1]) < min(0x80, len(b)-1) { // as they nearly all are
			of, b = b[2:2+int(b[1])], b[2+int(b[1]):]
		} else {
			tag, v, next := field(b, 0)
			if next < 0 || tag != 1<<3|length {
				return 0, false
			}
			of, b = b[v:next], b[next:]
		}
		n := len(of)
		if n < 8 || n > 32 {
			if !fields || !isName(of) {
				sum += s.secret.hash(of)
			}
			continue
		}
		// secret.short and isName, without a branch that the order of the fields decides.
		first := word(of, 0)
		h1, l1 := bits.Mul64(first^secrets[0], word(of, min(8, n-8))^secrets[1])
		h2, l2 := bits.Mul64(word(of, max(n-16, 0))^secrets[2], word(of, n-8)^secrets[3]^uint64(n))
		hash := h1 ^ l1 ^ bits.RotateLeft64(h2^l2, 32)
		if fields && first == nameField|uint64(n-8)<<56 {
			hash = 0
		}
		sum += hash
	}
	return sum, true
}

// nameField is what the field name begins with: its tag, length and text, and the tag of its value.
const nameField = 0x0a | 4<<8 | 'n'<<16 | 'a'<<24 | 'm'<<32 | 'e'<<40 | 0x12<<48

// isName tells whether a field of a Struct has the key name, once, and one value behind it.
func isName(b []byte) bool {
	return len(b) >= 8 && string(b[:7]) == "\x0a\x04name\x12" && b[7] < 0x80 && len(b) == 8+int(b[7])
}

// parsePeer reads a side. It is ambiguous when a key is there twice: then it matters which is the last.
func (s *Stream) parsePeer(sd *side, own bool) (peer unique.Handle[Peer], unambiguous, ok bool) {
	var a attributes
	if unambiguous, ok = a.add(sd); !ok {
		return peer, false, false
	}
	if own {
		for i, v := range s.ownRaw {
			a.set(i, v)
		}
	}
	peer, ok = s.intern(&a)
	return peer, unambiguous, ok
}

// intern finds the one Peer for attributes, whatever order or form they came in.
func (s *Stream) intern(a *attributes) (unique.Handle[Peer], bool) {
	var hash uint64
	for _, v := range a {
		hash = hash*odd + s.secret.hash(v)
	}
	if known, ok := s.peers[hash]; ok {
		return known, true
	}
	p, ok := newPeer(a)
	if !ok {
		return unique.Handle[Peer]{}, false
	}
	h := unique.Make(p)
	remember(&s.peers, maxStreamPeers, hash, h)
	return h, true
}

// byAddress fills in who could not be told, from the address on that side, and learns who is at the upstream's address
// where the entry told. Only a source reporter's upstream is a workload's own address.
func (s *Stream) byAddress(k *key, e *entry) {
	switch k.reporter {
	case reporterSource:
		s.byUpstream(e)
	case reporterDestination:
		if !e.source.party.known && e.readRemote() && e.remote.socket {
			if p, ok := s.aggregator.addresses.lookup(address{ip: e.remote.ip, socket: true}); ok {
				e.source.party = s.partyOf(p)
			}
		}
	}
}

func (s *Stream) byUpstream(e *entry) {
	if len(e.later.upstream) == 0 {
		return
	}
	p, hash := e.destination.party, s.upstreamHash(e)
	if learned, _ := s.learned.get(hash); p.known && learned == p.peer {
		return
	}
	if !e.readUpstream() || !e.upstream.socket || len(e.upstream.ip) == 0 {
		return
	}
	if !p.known {
		if p, ok := s.aggregator.addresses.lookup(e.upstream); ok {
			e.destination.party = s.partyOf(p)
		}
		return
	}
	s.learned.put(maxStreamAddrs, hash, p.peer)
	s.aggregator.addresses.learn(e.upstream, p.peer)
}

// upstreamHash is of what an entry says of its upstream's address.
func (s *Stream) upstreamHash(e *entry) uint64 {
	if e.upstreamHash == 0 {
		e.upstreamHash = s.secret.hash(e.later.upstream)
	}
	return e.upstreamHash
}
