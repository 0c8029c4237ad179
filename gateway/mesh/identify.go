package mesh

import "unique"

// rawPeers remembers peers by the hash of the bytes that described them. Envoy's encoder may write a Struct's fields in any
// order, so it switches itself off when that does not pay.
type rawPeers struct {
	peers        map[uint64]unique.Handle[Peer]
	hits, misses uint32
}

const rawTrial = 4096 // lookups before the first judgement

func (r *rawPeers) off() bool { return r.misses > rawTrial && r.hits < r.misses }

// peer tells who is on one side: what the entry says of it and, on the own side, what the node says.
func (s *Stream) peer(sd *side, own bool) (unique.Handle[Peer], bool) {
	if sd.empty() {
		if own {
			return s.own, true
		}
		return s.unknown.peer, true
	}
	var raw []byte // set if one Struct says it all
	switch {
	case sd.tagged:
	case len(sd.meta) == 0:
		raw = sd.state
	case len(sd.state) == 0:
		raw = sd.meta
	}
	cache := &s.raw[0]
	if own {
		cache = &s.raw[1] // what the node adds is the same for all
	}
	if raw == nil || cache.off() {
		return s.parsePeer(sd, own)
	}
	hash := s.hash(raw)
	if known, ok := cache.peers[hash]; ok {
		cache.hits++
		return known, true
	}
	cache.misses++
	peer, ok := s.parsePeer(sd, own)
	if ok {
		if len(cache.peers) >= maxStreamPeers {
			clear(cache.peers)
		}
		cache.peers[hash] = peer
	}
	return peer, ok
}

func (s *Stream) parsePeer(sd *side, own bool) (unique.Handle[Peer], bool) {
	var a attributes
	if !a.add(sd) {
		return unique.Handle[Peer]{}, false
	}
	if own {
		for i, v := range s.ownRaw {
			a.set(i, v)
		}
	}
	return s.intern(&a)
}

// intern finds the one Peer for attributes, whatever order or form they came in.
func (s *Stream) intern(a *attributes) (unique.Handle[Peer], bool) {
	var hash uint64
	for _, v := range a {
		hash = hash*0x9e3779b97f4a7c15 + s.hash(v)
	}
	if known, ok := s.peers[hash]; ok {
		return known, true
	}
	p, ok := newPeer(a)
	if !ok {
		return unique.Handle[Peer]{}, false
	}
	if len(s.peers) >= maxStreamPeers {
		clear(s.peers)
	}
	h := unique.Make(p)
	s.peers[hash] = h
	return h, true
}

// byAddress fills in who could not be told, from the address on that side, and learns who is at the upstream's address
// where the entry told. Only a source reporter's upstream is a workload's own address.
func (s *Stream) byAddress(k *key, e *entry) {
	switch k.reporter {
	case reporterSource:
		if !e.upstream.socket || len(e.upstream.ip) == 0 {
			return
		}
		if !identified(k.destination, s.unknown.peer) {
			if p, ok := s.aggregator.addresses.lookup(e.upstream); ok {
				k.destination = p
			}
			return
		}
		hash := s.hash(e.upstream.ip) + uint64(e.upstream.port)
		if s.learned[hash] == k.destination {
			return
		}
		if len(s.learned) >= maxStreamAddrs {
			clear(s.learned)
		}
		s.learned[hash] = k.destination
		s.aggregator.addresses.learn(e.upstream, k.destination)
	case reporterDestination:
		if !identified(k.source, s.unknown.peer) && e.readRemote() && e.remote.socket {
			if p, ok := s.aggregator.addresses.lookup(address{ip: e.remote.ip, socket: true}); ok {
				k.source = p
			}
		}
	}
}

// identified tells whether a peer is known by more than its namespace or cluster.
func identified(p, unknown unique.Handle[Peer]) bool { return p != unknown && p.Value().known() }
