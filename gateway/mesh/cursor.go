package mesh

// Wire types of the protobuf encoding.
const (
	varint = 0
	fixed8 = 1
	length = 2
	fixed4 = 5
)

// cursor walks the fields of one protobuf message without copying or allocating:
//
//	for c := (cursor{b: b}); c.next(); { switch c.tag { … } }
//
// Malformed input and groups end the walk with bad set.
type cursor struct {
	b     []byte
	at    int    // where the next field begins
	start int    // of a length-delimited field's bytes, which end at at
	val   uint64 // of a varint field
	tag   uint32 // field number<<3 | wire type
	bad   bool
}

// sub is the content of a length-delimited field; it aliases the message.
func (c *cursor) sub() []byte { return c.b[c.start:c.at:c.at] }

// next moves to the next field. It returns false at the end of the message or when the rest is malformed.
func (c *cursor) next() bool {
	b, i := c.b, c.at
	if i >= len(b) {
		return false
	}
	// Nearly all tags and lengths have one or two bytes.
	tag := uint64(b[i])
	i++
	if tag >= 0x80 {
		if i < len(b) && b[i] < 0x80 {
			tag = tag&0x7f | uint64(b[i])<<7
			i++
		} else if tag, i = uvarint(b, i-1); i < 0 {
			return c.fail()
		}
	}
	if tag < 1<<3 || tag > 1<<32-1 {
		return c.fail()
	}
	c.tag = uint32(tag)
	if tag&7 == length {
		if i >= len(b) {
			return c.fail()
		}
		n := uint64(b[i])
		i++
		if n >= 0x80 {
			if i < len(b) && b[i] < 0x80 {
				n = n&0x7f | uint64(b[i])<<7
				i++
			} else if n, i = uvarint(b, i-1); i < 0 {
				return c.fail()
			}
		}
		if n > uint64(len(b)-i) {
			return c.fail()
		}
		c.start, c.at = i, i+int(n)
		return true
	}
	return c.scalar(i)
}

// scalar reads a field that is not length-delimited.
func (c *cursor) scalar(i int) bool {
	switch c.tag & 7 {
	case varint:
		if c.val, i = uvarint(c.b, i); i < 0 {
			return c.fail()
		}
	case fixed8:
		i += 8
	case fixed4:
		i += 4
	default:
		return c.fail()
	}
	if i > len(c.b) {
		return c.fail()
	}
	c.at = i
	return true
}

func (c *cursor) fail() bool {
	c.at, c.bad = len(c.b), true
	return false
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
