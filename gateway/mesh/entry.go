package mesh

import "bytes"

// entry is what is read of one HTTPAccessLogEntry. Slices alias the received bytes. The zero value of a field means
// that Envoy did not send it.
type entry struct {
	logType                 int32 // envoy.data.accesslog.v3.AccessLogType
	tcp, intermediate       bool
	code, attempts          uint32 // attempts: upstream_request_attempt_count
	flags                   Flags
	start, duration, lastTx duration // since the epoch; of all; to the last byte to downstream
	received, sent          uint64   // downstream wire bytes; of TCP the payload's, if told

	cluster, route, authority, details []byte
	contentType                        []byte // request header
	grpcHeader, grpcTrailer            []byte // grpc-status
	upstream                           address
	streamID                           []byte // of a request or connection, in all of its entries

	later             struct{ local, remote, tls []byte } // not read yet
	local             address                             // readLocal: where the downstream connection was accepted
	remote            address                             // readRemote: who opened it
	peerSAN, localSAN []byte                              // readTLS: first URI SAN of its certificates

	reporter    []byte // custom tag
	service     []byte // custom tag destination_service
	source      side
	destination side
}

// side is what the entry says of one end of the request, strongest source first: filter state, dynamic metadata, tags.
type side struct {
	state     []byte // value of the filter state object's Any
	stateKind stateKind
	meta      []byte // Struct from dynamic metadata
	tags      attributes
	tagged    bool // tags has at least one
}

func (s *side) empty() bool { return len(s.state) == 0 && len(s.meta) == 0 && !s.tagged }

type stateKind uint8

const (
	stateOther stateKind = iota
	stateStruct
	stateString
)

// unmarshal reads an HTTPAccessLogEntry into the zero entry e. It returns false when b is malformed.
func (e *entry) unmarshal(b []byte) bool {
	c, ok := cursor{b: b}, true
	for c.next() {
		switch c.tag {
		case 1<<3 | length:
			ok = e.common(c.sub()) && ok
		case 3<<3 | length:
			ok = e.request(c.sub()) && ok
		case 4<<3 | length:
			ok = e.response(c.sub()) && ok
		}
	}
	return ok && !c.bad
}

func (e *entry) common(b []byte) bool {
	c, ok := cursor{b: b}, true
	for c.next() {
		switch c.tag {
		case 3<<3 | length:
			ok = once(&e.later.local, c.sub()) && ok
		case 4<<3 | length:
			ok = once(&e.later.tls, c.sub()) && ok
		case 5<<3 | length:
			ok = e.start.unmarshal(c.sub()) && ok
		case 12<<3 | length:
			ok = e.lastTx.unmarshal(c.sub()) && ok
		case 13<<3 | length:
			ok = e.upstream.unmarshal(c.sub()) && ok
		case 15<<3 | length:
			e.cluster = c.sub()
		case 16<<3 | length:
			ok = e.flags.walkFlags(c.sub()) && ok
		case 17<<3 | length:
			ok = e.metadata(c.sub()) && ok
		case 19<<3 | length:
			e.route = c.sub()
		case 20<<3 | length:
			ok = once(&e.later.remote, c.sub()) && ok
		case 21<<3 | length:
			ok = e.filterState(c.sub()) && ok
		case 22<<3 | length:
			ok = e.customTag(c.sub()) && ok
		case 23<<3 | length:
			ok = e.duration.unmarshal(c.sub()) && ok
		case 24<<3 | varint:
			e.attempts = uint32(c.val)
		case 26<<3 | length:
			e.streamID = c.sub()
		case 27<<3 | varint:
			e.intermediate = c.val != 0
		case 29<<3 | varint:
			e.sent = c.val
		case 30<<3 | varint:
			e.received = c.val
		case 33<<3 | varint:
			e.logType = int32(c.val)
		}
	}
	return ok && !c.bad
}

func (e *entry) request(b []byte) bool {
	c, ok := cursor{b: b}, true
	for c.next() {
		switch c.tag {
		case 3<<3 | length:
			e.authority = c.sub()
		case 13<<3 | length:
			k, v, good := mapEntry(c.sub())
			if ok = good && ok; string(k) == "content-type" {
				e.contentType = v
			}
		}
	}
	return ok && !c.bad
}

func (e *entry) response(b []byte) bool {
	c, ok := cursor{b: b}, true
	for c.next() {
		switch c.tag {
		case 1<<3 | length:
			code := cursor{b: c.sub()}
			for code.next() {
				if code.tag == 1<<3|varint {
					e.code = uint32(code.val)
				}
			}
			ok = ok && !code.bad
		case 4<<3 | length:
			k, v, good := mapEntry(c.sub())
			if ok = good && ok; string(k) == "grpc-status" {
				e.grpcHeader = v
			}
		case 5<<3 | length:
			k, v, good := mapEntry(c.sub())
			if ok = good && ok; string(k) == "grpc-status" {
				e.grpcTrailer = v
			}
		case 6<<3 | length:
			e.details = c.sub()
		}
	}
	return ok && !c.bad
}

// readLocal, readRemote and readTLS read what most entries are understood without. They return false when it is malformed.
func (e *entry) readLocal() bool  { return e.local.unmarshal(e.later.local) }
func (e *entry) readRemote() bool { return e.remote.unmarshal(e.later.remote) }

func (e *entry) readTLS() bool {
	c, ok := cursor{b: e.later.tls}, true
	for c.next() {
		switch c.tag {
		case 4<<3 | length:
			ok = firstURI(c.sub(), &e.localSAN) && ok
		case 5<<3 | length:
			ok = firstURI(c.sub(), &e.peerSAN) && ok
		}
	}
	return ok && !c.bad
}

// firstURI sets san, unless it is set, to the first URI among a CertificateProperties' subject alternative names.
func firstURI(b []byte, san *[]byte) bool {
	c := cursor{b: b}
	for c.next() {
		if c.tag != 1<<3|length || len(*san) > 0 {
			continue
		}
		name := cursor{b: c.sub()}
		for name.next() {
			switch name.tag {
			case 1<<3 | length:
				*san = name.sub()
			case 2<<3 | length:
				*san = nil
			}
		}
		if name.bad {
			return false
		}
	}
	return !c.bad
}

func (e *entry) filterState(b []byte) bool {
	key, value, ok := mapEntry(b)
	s := e.peer(key)
	if !ok || s == nil {
		return ok
	}
	s.state, s.stateKind = nil, stateOther
	c := cursor{b: value}
	for c.next() {
		switch c.tag {
		case 1<<3 | length:
			switch name := c.sub(); string(name[bytes.LastIndexByte(name, '/')+1:]) {
			case "google.protobuf.Struct":
				s.stateKind = stateStruct
			case "google.protobuf.StringValue":
				s.stateKind = stateString
			default:
				s.stateKind = stateOther
			}
		case 2<<3 | length:
			s.state = c.sub()
		}
	}
	return !c.bad
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
