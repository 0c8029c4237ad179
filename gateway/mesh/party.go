package mesh

import "unique"

// party is a Peer with what each entry asks of it.
type party struct {
	peer      unique.Handle[Peer]
	id        uint64 // hash of the peer
	known     bool   // by more than its namespace or cluster
	namespace string
	principal unique.Handle[string] // as the peer's own metadata says, else unknown
	valid     bool                  // principal can be a label
}

func (s *Stream) partyOf(h unique.Handle[Peer]) *party {
	if known := s.parties[h]; known != nil {
		return known
	}
	peer := h.Value()
	p := &party{peer: h, known: peer.known(), namespace: peer[namespace], principal: s.unknown.principal, valid: true}
	for _, v := range peer {
		p.id = p.id*odd + s.secret.hash([]byte(v))
	}
	if id := peer[principal]; id != "" {
		p.principal, p.valid = s.text([]byte(id))
	}
	remember(&s.parties, maxStreamPeers, h, p)
	return p
}
