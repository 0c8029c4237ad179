package mesh

import "bytes"

// side is what the entry says of one end of the request, strongest source first: filter state, dynamic metadata, tags.
type side struct {
	state     []byte // value of the filter state object's Any
	stateKind stateKind
	meta      []byte // Struct from dynamic metadata
	tags      attributes
	tagged    bool // tags has at least one

	party *party // who that is; nil until it is looked for
}

func (s *side) empty() bool { return len(s.state) == 0 && len(s.meta) == 0 && !s.tagged }

type stateKind uint8

const (
	stateOther stateKind = iota
	stateStruct
	stateString
)

func (e *entry) filterState(b []byte) bool {
	key, value, ok := mapEntry(b)
	s := e.peer(key)
	if !ok || s == nil {
		e.unread = e.unread || wasmPeer(key)
		return ok
	}
	if url, state, ok := pair(value); ok {
		s.state, s.stateKind = state, parseStateKind(url)
		return true
	}
	s.state, s.stateKind = nil, stateOther
	for i := 0; i < len(value); {
		tag, v, next := field(value, i)
		if next < 0 {
			return false
		}
		i = next
		switch tag {
		case 1<<3 | length:
			s.stateKind = parseStateKind(value[v:next])
		case 2<<3 | length:
			s.state = value[v:next:next]
		}
	}
	return true
}

// parseStateKind reads an Any's type URL, of which only what follows the last slash counts.
func parseStateKind(url []byte) stateKind {
	switch string(url) {
	case "type.googleapis.com/google.protobuf.Struct":
		return stateStruct
	case "type.googleapis.com/google.protobuf.StringValue":
		return stateString
	}
	switch string(url[bytes.LastIndexByte(url, '/')+1:]) {
	case "google.protobuf.Struct":
		return stateStruct
	case "google.protobuf.StringValue":
		return stateString
	}
	return stateOther
}

// metadata looks for the Structs upstream_peer and downstream_peer under the namespace istio.peer.
func (e *entry) metadata(b []byte) bool {
	c := cursor{b: b}
	for c.next() {
		if c.tag != 1<<3|length {
			continue
		}
		namespace, fields, ok := mapEntry(c.sub())
		if !ok {
			return false
		}
		if string(namespace) != "istio.peer" {
			continue
		}
		e.source.meta, e.destination.meta = nil, nil
		f := cursor{b: fields}
		for f.next() {
			if f.tag != 1<<3|length {
				continue
			}
			key, value, ok := mapEntry(f.sub())
			if !ok {
				return false
			}
			if s := e.peer(key); s != nil {
				s.meta = nil
				if v, ok := parseValue(value); !ok {
					return false
				} else if v.kind == valueStruct {
					s.meta = v.bytes
				}
			}
		}
		if f.bad {
			return false
		}
	}
	return !c.bad
}

// peer maps Istio's name of a peer object to the side it describes: the upstream is the destination.
func (e *entry) peer(key []byte) *side {
	switch string(key) {
	case "upstream_peer":
		return &e.destination
	case "downstream_peer":
		return &e.source
	}
	return nil
}

func (e *entry) customTag(b []byte) bool {
	key, value, ok := mapEntry(b)
	if !ok {
		return false
	}
	name := key
	s := &e.source
	switch {
	case bytes.HasPrefix(key, []byte("source_")):
		name = key[len("source_"):]
	case bytes.HasPrefix(key, []byte("destination_")):
		name, s = key[len("destination_"):], &e.destination
	case string(key) == "reporter":
		e.reporter = value
		return true
	default:
		return true
	}
	if i := tagAttribute(name); i >= 0 {
		s.tags[i], s.tagged = value, true
	} else if s == &e.destination && string(name) == "service" {
		e.service = value
	}
	return true
}
