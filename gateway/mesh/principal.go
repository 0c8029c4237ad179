package mesh

import (
	"strings"
	"unique"
)

// principal is the URI of a certificate, else what the peer's own metadata says.
func (s *Stream) principal(san []byte, peer unique.Handle[Peer]) (unique.Handle[string], bool) {
	if len(san) > 0 {
		return s.text(san)
	}
	id := peer.Value()[principal]
	if id == "" {
		return s.unknown.principal, true
	}
	if h, ok := s.texts[id]; ok {
		return h, true
	}
	return s.newText(id)
}

// text interns what is to be a label; ok is false when it cannot be one.
func (s *Stream) text(b []byte) (h unique.Handle[string], ok bool) {
	if h, ok := s.texts[string(b)]; ok {
		return h, true
	}
	return s.newText(string(b))
}

func (s *Stream) newText(text string) (unique.Handle[string], bool) {
	if !validLabel(text) {
		return unique.Handle[string]{}, false
	}
	h := unique.Make(text)
	remember(&s.texts, maxStreamPeers, text, h)
	return h, true
}

// placed is a peer whose principal says which namespace it is in.
type placed struct {
	peer      unique.Handle[Peer]
	principal unique.Handle[string]
}

// inNamespace is a peer in the namespace that its principal names: what is certified beats what is told.
func (s *Stream) inNamespace(peer unique.Handle[Peer], principal unique.Handle[string]) unique.Handle[Peer] {
	if principal == s.unknown.principal {
		return peer
	}
	certified := namespaceOf(principal.Value())
	if certified == "" || peer.Value()[namespace] == certified {
		return peer
	}
	of := placed{peer, principal}
	h, ok := s.placed[of]
	if !ok {
		p := peer.Value()
		p[namespace] = certified
		h = unique.Make(p)
		remember(&s.placed, maxStreamPeers, of, h)
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
