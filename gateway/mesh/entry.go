package mesh

import "encoding/binary"

// entry is what is read of one HTTPAccessLogEntry. Slices alias the received bytes. The zero value of a field means
// that Envoy did not send it.
type entry struct {
	logType                   int32  // envoy.data.accesslog.v3.AccessLogType
	tcp, intermediate, unread bool   // unread: a peer is told in a form that is not read
	code, attempts            uint32 // attempts: upstream_request_attempt_count
	flags                     Flags
	start, duration           duration // since the epoch; of all
	received, sent            uint64   // downstream wire bytes; of TCP the payload's, if told

	cluster, route, authority, details []byte
	contentType                        []byte // request header
	grpcHeader, grpcTrailer            []byte // grpc-status
	streamID                           []byte // of a request or connection, in all of its entries

	id                uint64                                                // hash of the key
	later             struct{ upstream, local, remote, tls, lastTx []byte } // not read yet
	upstream          address                                               // readUpstream: who was asked
	upstreamHash      uint64                                                // of later.upstream; 0: not known yet
	clusterHash       uint64                                                // of cluster; 0: not known yet
	local             address                                               // readLocal: where the downstream connection was accepted
	remote            address                                               // readRemote: who opened it
	peerSAN, localSAN []byte                                                // readTLS: first URI SAN of its certificates
	lastTx            duration                                              // readLastTx: time_to_last_downstream_tx_byte, if duration is not set

	reporter    []byte // custom tag
	service     []byte // custom tag destination_service
	source      side
	destination side
}

// unmarshal reads an HTTPAccessLogEntry into the zero entry e. It returns false when b is malformed.
func (e *entry) unmarshal(b []byte) bool {
	for i := 0; i < len(b); {
		tag, v, next := field(b, i)
		if next < 0 {
			return false
		}
		ok := true
		switch tag {
		case 1<<3 | length:
			ok = e.common(b[v:next])
		case 3<<3 | length:
			ok = e.request(b[v:next])
		case 4<<3 | length:
			ok = e.response(b[v:next])
		}
		if !ok {
			return false
		}
		i = next
	}
	return true
}

// commonFields has a bit for each field of AccessLogCommon that is read.
const commonFields = 1<<3 | 1<<4 | 1<<5 | 1<<12 | 1<<13 | 1<<15 | 1<<16 | 1<<17 | 1<<19 | 1<<20 | 1<<21 | 1<<22 | 1<<23 | 1<<24 | 1<<26 | 1<<27 |
	1<<29 | 1<<30 | 1<<33

func (e *entry) common(b []byte) bool {
	for i := 0; i < len(b); {
		var tag uint32
		var v uint64
		next := -1
		// A tag and a length or number of one or two bytes each, as most are: this is field, without the call.
		if uint(i)+4 <= uint(len(b)) {
			head, at := binary.LittleEndian.Uint32(b[i:]), i+2
			tag = head & 0x7f
			if head&0x8080 == 0x80 {
				tag |= head >> 1 & 0x3f80
				head >>= 8
				at++
			}
			v = uint64(head >> 8 & 0x7f)
			long := head&0x8000 != 0
			if long {
				v |= uint64(head >> 9 & 0x3f80)
				at++
			}
			if head&0x80 == 0 && tag >= 1<<3 && (!long || head&0x800000 == 0) {
				switch tag & 7 {
				case length:
					v, next = uint64(at), at+int(v)
				case varint:
					next = at
				}
			}
		}
		if next < 0 || next > len(b) {
			if tag, v, next = field(b, i); next < 0 {
				return false
			}
		}
		i = next
		if uint64(commonFields)>>(tag>>3)&1 == 0 {
			continue
		}
		if tag&7 == varint {
			e.commonNumber(tag>>3, v)
		} else if tag&7 == length && !e.commonMessage(tag>>3, b[v:next:next]) {
			return false
		}
	}
	return e.duration.set || e.readLastTx()
}

// commonNumber takes one number of AccessLogCommon.
func (e *entry) commonNumber(number uint32, v uint64) {
	switch number {
	case 24:
		e.attempts = uint32(v)
	case 27:
		e.intermediate = v != 0
	case 29:
		e.sent = v
	case 30:
		e.received = v
	case 33:
		e.logType = int32(v)
	}
}

// commonMessage reads one length-delimited field of AccessLogCommon.
func (e *entry) commonMessage(number uint32, b []byte) bool {
	switch number {
	case 3:
		return once(&e.later.local, b)
	case 4:
		return once(&e.later.tls, b)
	case 5:
		return e.start.unmarshal(b)
	case 12:
		return once(&e.later.lastTx, b)
	case 13:
		return once(&e.later.upstream, b)
	case 15:
		e.cluster = b
	case 16:
		return e.flags.walkFlags(b)
	case 17:
		return e.metadata(b)
	case 19:
		e.route = b
	case 20:
		return once(&e.later.remote, b)
	case 21:
		return e.filterState(b)
	case 22:
		return e.customTag(b)
	case 23:
		return e.duration.unmarshal(b)
	case 26:
		e.streamID = b
	}
	return true
}

func (e *entry) request(b []byte) bool {
	for i := 0; i < len(b); {
		// Most fields are passed over, without a call.
		if head := b[i]; i+1 < len(b) && (head|b[i+1]) < 0x80 && head >= 1<<3 && head != 3<<3|length && head != 13<<3|length {
			if next := i + 2 + int(b[i+1]); head&7 == length && next <= len(b) {
				i = next
				continue
			}
			if head&7 == varint {
				i += 2
				continue
			}
		}
		tag, v, next := field(b, i)
		if next < 0 {
			return false
		}
		i = next
		switch tag {
		case 3<<3 | length:
			e.authority = b[v:next:next]
		case 13<<3 | length:
			key, value, ok := mapEntry(b[v:next])
			if !ok {
				return false
			}
			if string(key) == "content-type" {
				e.contentType = value
			}
		}
	}
	return true
}

func (e *entry) response(b []byte) bool {
	for i := 0; i < len(b); {
		tag, v, next := field(b, i)
		if next < 0 {
			return false
		}
		i = next
		switch tag {
		case 1<<3 | length:
			if !e.responseCode(b[v:next]) {
				return false
			}
		case 4<<3 | length, 5<<3 | length:
			key, value, ok := mapEntry(b[v:next])
			if !ok {
				return false
			}
			if string(key) == "grpc-status" {
				if tag == 4<<3|length {
					e.grpcHeader = value
				} else {
					e.grpcTrailer = value
				}
			}
		case 6<<3 | length:
			e.details = b[v:next:next]
		}
	}
	return true
}

func (e *entry) responseCode(b []byte) bool {
	if len(b) == 3 && b[0] == 1<<3|varint && b[1] >= 0x80 && b[2] < 0x80 { // 128 and above, as they all are
		e.code = uint32(b[1]&0x7f) | uint32(b[2])<<7
		return true
	}
	c := cursor{b: b}
	for c.next() {
		if c.tag == 1<<3|varint {
			e.code = uint32(c.val)
		}
	}
	return !c.bad
}

// readUpstream and so on read what most entries are understood without. They return false when it is malformed.
func (e *entry) readUpstream() bool { return e.upstream.unmarshal(e.later.upstream) }
func (e *entry) readLocal() bool    { return e.local.unmarshal(e.later.local) }
func (e *entry) readLastTx() bool   { return e.later.lastTx == nil || e.lastTx.unmarshal(e.later.lastTx) }

func (e *entry) readRemote() bool {
	if e.remote.socket {
		return true
	}
	ok := e.remote.unmarshal(e.later.remote)
	if !ok {
		e.remote = address{}
	}
	return ok
}

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
