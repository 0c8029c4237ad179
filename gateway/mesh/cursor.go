package mesh

import "encoding/binary"

// Wire types of the protobuf encoding.
const (
	varint = 0
	fixed8 = 1
	length = 2
	fixed4 = 5
)

// field reads the field that begins at b[i]: tag is its number<<3 | its wire type and next is where the following one begins.
// A length-delimited field's content is b[v:next]; v is a varint's value. A malformed field and a group have next -1.
//
// It is the innermost loop of everything: the walk of an entry calls it directly and keeps its state in registers, whereas
// colder code takes the cursor.
func field(b []byte, i int) (tag uint32, v uint64, next int) {
	if uint(i)+4 > uint(len(b)) {
		return anyField(b, i)
	}
	// Nearly all tags and lengths have one or two bytes.
	head, at := binary.LittleEndian.Uint32(b[i:]), i+2
	tag = head & 0x7f
	if head&0x80 != 0 {
		if head&0x8000 != 0 {
			return anyField(b, i)
		}
		tag |= head >> 1 & 0x3f80
		head >>= 8
		at++
	}
	v = uint64(head >> 8 & 0x7f)
	if head&0x8000 != 0 {
		if head&0x800000 != 0 {
			return anyField(b, i)
		}
		v |= uint64(head >> 9 & 0x3f80)
		at++
	}
	switch {
	case tag&7 == length && v <= uint64(len(b)-at) && tag >= 1<<3:
		return tag, uint64(at), at + int(v)
	case tag&7 == varint && tag >= 1<<3:
		return tag, v, at
	}
	return anyField(b, i)
}

// anyField is field for whatever is rare.
func anyField(b []byte, i int) (tag uint32, v uint64, next int) {
	t, i := uvarint(b, i)
	if i < 0 || t < 1<<3 || t > 1<<32-1 {
		return 0, 0, -1
	}
	switch t & 7 {
	case varint:
		v, i = uvarint(b, i)
	case length:
		if v, i = uvarint(b, i); i < 0 || v > uint64(len(b)-i) {
			return 0, 0, -1
		}
		v, i = uint64(i), i+int(v)
	case fixed8:
		i += 8
	case fixed4:
		i += 4
	default:
		return 0, 0, -1
	}
	if i > len(b) {
		return 0, 0, -1
	}
	return uint32(t), v, i
}

// uvarint reads a varint of at most ten bytes at i and returns the index behind it, or -1 when it is malformed.
func uvarint(b []byte, i int) (uint64, int) {
	var v uint64
	for shift := 0; i < len(b) && shift < 70; shift += 7 {
		c := b[i]
		i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// cursor walks the fields of one protobuf message without copying or allocating:
//
//	for c := (cursor{b: b}); c.next(); { switch c.tag { … } }
//
// Malformed input and groups end the walk with bad set.
type cursor struct {
	b   []byte
	at  int    // where the next field begins
	val uint64 // of a varint field; where a length-delimited field's content begins, which ends at at
	tag uint32 // field number<<3 | wire type
	bad bool
}

// sub is the content of a length-delimited field; it aliases the message.
func (c *cursor) sub() []byte { return c.b[c.val:c.at:c.at] }

// next moves to the next field. It returns false at the end of the message or when the rest is malformed.
func (c *cursor) next() bool {
	if c.at >= len(c.b) {
		return false
	}
	tag, v, next := field(c.b, c.at)
	if next < 0 {
		c.at, c.bad = len(c.b), true
		return false
	}
	c.tag, c.val, c.at = tag, v, next
	return true
}
