package mesh

import "time"

type duration struct {
	seconds int64
	nanos   int32
	set     bool
}

// milliseconds clamps negative durations, which a stepped clock can make, to zero.
func (d duration) milliseconds() float64 {
	return max(0, float64(d.seconds)*1e3+float64(d.nanos)/1e6)
}

// time is the timestamp whose fields are d's.
func (d duration) time() time.Time { return time.Unix(d.seconds, int64(d.nanos)) }

// unmarshal reads a google.protobuf.Duration or Timestamp.
func (d *duration) unmarshal(b []byte) bool {
	d.set = true
	for i := 0; i < len(b); {
		var v uint64
		switch tag := b[i]; tag {
		case 1<<3 | varint, 2<<3 | varint:
			if v, i = uvarint(b, i+1); i < 0 {
				return false
			}
			if tag == 1<<3|varint {
				d.seconds = int64(v)
			} else {
				d.nanos = int32(v)
			}
		default:
			if _, _, i = field(b, i); i < 0 {
				return false
			}
		}
	}
	return true
}

type address struct {
	ip     []byte // text; nil unless it is a socket address
	port   uint32
	socket bool
}

func (a *address) unmarshal(b []byte) bool {
	c := cursor{b: b}
	for c.next() {
		switch c.tag {
		case 1<<3 | length:
			if !a.socketAddress(c.sub()) {
				return false
			}
		case 2<<3 | length, 3<<3 | length: // a pipe, an internal address
			*a = address{}
		}
	}
	return !c.bad
}

func (a *address) socketAddress(b []byte) bool {
	a.socket = true
	c := cursor{b: b}
	for c.next() {
		switch c.tag {
		case 2<<3 | length:
			a.ip = c.sub()
		case 3<<3 | varint:
			a.port = uint32(c.val)
		case 4<<3 | length: // a named port takes the place of the number
			a.port = 0
		}
	}
	return !c.bad
}

// once keeps the bytes of a message to be read later. Two of them would have to be merged; no encoder writes that.
func once(to *[]byte, b []byte) bool {
	if *to != nil {
		return false
	}
	*to = b
	return true
}

// pair reads a message whose fields 1 and 2 are length-delimited, once each and in this order, as they nearly all are; else ok
// is false. The lengths have one byte or, of the second, two.
func pair(b []byte) (first, second []byte, ok bool) {
	if len(b) < 2 || b[0] != 1<<3|length || b[1] >= 0x80 {
		return nil, nil, false
	}
	end := 2 + int(b[1])
	if len(b) < end+3 || b[end] != 2<<3|length {
		return nil, nil, false
	}
	at, n := end+2, int(b[end+1])
	if n >= 0x80 {
		if b[at] >= 0x80 {
			return nil, nil, false
		}
		n = n&0x7f | int(b[at])<<7
		at++
	}
	if at+n != len(b) {
		return nil, nil, false
	}
	return b[2:end:end], b[at:len(b):len(b)], true
}

// mapEntry splits an entry of a protobuf map with string keys and length-delimited values.
func mapEntry(b []byte) (key, value []byte, ok bool) {
	if key, value, ok = pair(b); ok {
		return key, value, true
	}
	seen := false
	for i := 0; i < len(b); {
		tag, v, next := field(b, i)
		if next < 0 {
			return nil, nil, false
		}
		i = next
		switch tag {
		case 1<<3 | length:
			key = b[v:next:next]
		case 2<<3 | length:
			// Two values of one entry would have to be merged. No encoder writes that.
			if seen {
				return nil, nil, false
			}
			value, seen = b[v:next:next], true
		}
	}
	return key, value, true
}

// A google.protobuf.Value: its kind and, of a string or a struct, the bytes.
type value struct {
	kind  uint32 // field number of the oneof; 0: none
	bytes []byte
}

const (
	valueString = 3
	valueStruct = 5
)

func parseValue(b []byte) (v value, ok bool) {
	c := cursor{b: b}
	for c.next() {
		switch c.tag {
		case valueString<<3 | length:
			v = value{kind: valueString, bytes: c.sub()}
		case valueStruct<<3 | length:
			// Two structs in a row would have to be merged. No encoder writes that.
			if v.kind == valueStruct {
				return value{}, false
			}
			v = value{kind: valueStruct, bytes: c.sub()}
		case 1<<3 | varint, 2<<3 | fixed8, 4<<3 | varint, 6<<3 | length:
			v = value{kind: c.tag >> 3}
		}
	}
	return v, !c.bad
}
