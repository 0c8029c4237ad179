package mesh

import (
	"strings"
	"unique"
)

// principal is the URI of a certificate, else what the peer's own metadata says.
func (s *Stream) principal(e *entry, san []byte, p *party) (unique.Handle[string], bool) {
	if len(san) == 0 {
		e.id *= odd
		return p.principal, p.valid
	}
	hash := s.secret.hash(san)
	e.id = e.id*odd + hash
	return s.textOf(hash, san)
}

// text interns what is to be a label; ok is false when it cannot be one.
func (s *Stream) text(b []byte) (unique.Handle[string], bool) { return s.textOf(s.secret.hash(b), b) }

func (s *Stream) textOf(hash uint64, b []byte) (unique.Handle[string], bool) {
	if h, ok := s.texts.get(hash); ok {
		return h, true
	}
	text := string(b)
	if !validLabel(text) {
		return unique.Handle[string]{}, false
	}
	h := unique.Make(text)
	s.texts.put(maxStreamPeers, hash, h)
	return h, true
}

// placed is a peer whose principal says which namespace it is in.
type placed struct {
	peer      unique.Handle[Peer]
	principal unique.Handle[string]
}

// inNamespace is a peer in the namespace that its principal names: what is certified beats what is told.
func (s *Stream) inNamespace(of *party, principal unique.Handle[string]) unique.Handle[Peer] {
	if principal == s.unknown.principal {
		return of.peer
	}
	certified := namespaceOf(principal.Value())
	if certified == "" || of.namespace == certified {
		return of.peer
	}
	at := placed{of.peer, principal}
	h, ok := s.placed[at]
	if !ok {
		p := of.peer.Value()
		p[namespace] = certified
		h = unique.Make(p)
		remember(&s.placed, maxStreamPeers, at, h)
	}
	return h
}

// namespaceOf is the namespace in an Istio identity, spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT, or "".
func namespaceOf(principal string) string {
	path, ok := strings.CutPrefix(principal, "spiffe://")
	if !ok {
		return ""
	}
	_, path, _ = strings.Cut(path, "/")
	path, ok = strings.CutPrefix(path, "ns/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(path, "/")
	return name
}
