package main

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/bytesutil"
)

// VictoriaMetrics's limits. What goes beyond them is left to its decoder, and is then left out and counted.
const (
	maxLabels     = 40 // the metric's name is one
	maxLabelName  = 256
	maxLabelValue = 4096
)

// The tags of protobuf fields are number<<3 | type.
const (
	varint  = 0
	fixed64 = 1
	length  = 2
)

// label is what an attribute becomes.
type label struct {
	attribute []byte // a copy of its KeyValue
	encoded   []byte // as storage.MarshalMetricNameRaw writes it; empty: there is no label
}

// of makes l the label of a KeyValue, or none if the key is left out. It returns false for what walk does not read.
func (l *label) of(b []byte, leftOut map[string]struct{}) bool {
	l.attribute, l.encoded = l.attribute[:0], l.encoded[:0]
	key, value, ok := keyValue(b)
	if !ok {
		return false
	}
	if _, found := leftOut[bytesutil.ToUnsafeString(key)]; !found && len(value) > 0 {
		name := labelName(bytesutil.ToUnsafeString(key))
		if name == "" || name == "__name__" || len(name) > maxLabelName {
			return false
		}
		encoded, ok := appendAny(appendName(l.encoded, name), value)
		size := len(encoded) - len(name) - 4
		if !ok || size > maxLabelValue {
			return false
		}
		if size > 0 {
			l.encoded = endValue(encoded, size)
		}
	}
	l.attribute = append(l.attribute, b...)
	return true
}

// appendAny appends an AnyValue as text.
func appendAny(to, b []byte) ([]byte, bool) {
	tag, number, text, rest := field(b)
	switch tag {
	case 1<<3 | length:
		to = append(to, text...)
	case 2<<3 | varint:
		if number > 1 {
			return to, false
		}
		to = strconv.AppendBool(to, number == 1)
	case 3<<3 | varint:
		to = strconv.AppendInt(to, int64(number), 10)
	case 4<<3 | fixed64:
		to = appendFloat(to, math.Float64frombits(number))
	default:
		return to, false
	}
	return to, len(rest) == 0
}

func appendFloat(to []byte, v float64) []byte { return strconv.AppendFloat(to, v, 'f', -1, 64) }

// appendName appends a label up to its value, of which endValue then tells the size.
func appendName(to []byte, name string) []byte {
	to = append(binary.BigEndian.AppendUint16(to, uint16(len(name))), name...)
	return append(to, 0, 0)
}

func endValue(encoded []byte, size int) []byte {
	binary.BigEndian.PutUint16(encoded[len(encoded)-size-2:], uint16(size))
	return encoded
}

// keyValue is a KeyValue's key and its AnyValue, which come in any order.
func keyValue(b []byte) (key, value []byte, ok bool) {
	first, _, key, b := field(b)
	second, _, value, b := field(b)
	if first > second {
		first, second, key, value = second, first, value, key
	}
	return key, value, first == 1<<3|length && second == 2<<3|length && len(b) == 0
}

// field reads the first field of a message: its tag, its number or bytes, and what comes after it. The tag is 0 for what
// cannot be read, of fields above 15 too, and when there is none.
func field(b []byte) (tag byte, number uint64, data, rest []byte) {
	if len(b) < 2 {
		return 0, 0, nil, nil
	}
	tag, number, b = b[0], uint64(b[1]), b[1:]
	if tag&7 == fixed64 {
		if len(b) < 8 || tag >= 0x80 {
			return 0, 0, nil, nil
		}
		return tag, binary.LittleEndian.Uint64(b), nil, b[8:]
	}
	n := 1
	if number >= 0x80 {
		number, n = binary.Uvarint(b)
	}
	if n <= 0 || tag >= 0x80 {
		return 0, 0, nil, nil
	}
	b = b[n:]
	switch {
	case tag&7 == varint:
		return tag, number, nil, b
	case tag&7 == length && number <= uint64(len(b)):
		return tag, number, b[:number:number], b[number:]
	}
	return 0, 0, nil, nil
}

// fields has a bit for each field of a message that was read.
type fields uint16

// first tells whether the field with this tag is read for the first time.
func (f *fields) first(tag byte) bool {
	bit := fields(1) << (tag >> 3)
	again := *f & bit
	*f |= bit
	return again == 0
}
