package dns

import (
	"bytes"
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerLength = 12
	maxName      = 255  // RFC 1035
	minUDP       = 512  // what everybody takes without EDNS (RFC 1035)
	maxUDP       = 1232 // what comes through everywhere in one piece
	optLength    = 11   // of an OPT record without options
)

// Bits of the third and the fourth byte of the header.
const (
	bitQR      = 0x80
	bitAA      = 0x04
	bitTC      = 0x02
	bitRD      = 0x01
	bitAD      = 0x20 // of the fourth
	bitCD      = 0x10 // likewise
	opcodeBits = 0x78
)

// fast answers the usual query over UDP, and what floods of senseless ones ask: one question, and no OPT record or a plain one. The answer is written
// to dst from its beginning; dst must not overlap the query, and nothing is allocated if it has room for 1232 bytes. Not ok: it is for slow.
func (t *table) fast(dst, query []byte) (answer []byte, ok bool) {
	if len(query) < headerLength || query[2]&^bitRD != 0 || query[3]&^(bitAD|bitCD) != 0 ||
		binary.BigEndian.Uint32(query[4:]) != 1<<16 || binary.BigEndian.Uint32(query[8:]) > 1 {
		return nil, false // it is no query, or more than a question and perhaps an additional record
	}
	var key nameKey
	n := lowerName(&key, query)
	end := headerLength + n + 4
	if n == 0 || len(query) < end {
		return nil, false
	}
	o, ok := readPlainOPT(query[end:], query[11])
	if !ok {
		return nil, false
	}
	key[n], key[n+1] = query[end-4], query[end-3]
	place, ok := t.places[string(key[:n+2])]
	if !ok || query[end-2] != 0 || query[end-1] != dns.ClassINET {
		return t.fastNothing(dst, query[:end], key[:n], o)
	}
	e := t.entries[place]
	if end+e.longest+o.length > o.room {
		return nil, false
	}
	return o.finish(e.next().begin(dst[:0], query[:end], t.serial)), true
}

// fastNothing is fast for a question that there is no entry for, and its name in lower case.
func (t *table) fastNothing(dst, question, name []byte, o plainOPT) (answer []byte, ok bool) {
	n, asked := t.closest(name), question[len(question)-4:]
	if n == nil || !ours(binary.BigEndian.Uint16(asked), binary.BigEndian.Uint16(asked[2:])) {
		return o.finish(refused().begin(dst[:0], question, t.serial)), true
	}
	if len(question)+len(n.nodata.sections)+o.length > o.room {
		return nil, false
	}
	answer = n.nodata.begin(dst[:0], question, t.serial)
	if longer := len(name) - len(n.key); longer > 0 {
		if bytes.HasSuffix(name, n.apex.mailbox) { // which the SOA record has, and then as a mere pointer to the question
			return nil, false
		}
		answer[3] = dns.RcodeNameError
		for _, at := range n.nodata.pointers {
			pointer := answer[len(question)+at:]
			binary.BigEndian.PutUint16(pointer, binary.BigEndian.Uint16(pointer)+uint16(longer))
		}
	}
	return o.finish(answer), true
}

// closest is the longest name that exists and that a name ends with; nil: it is in no zone.
func (t *table) closest(name []byte) *node {
	for len(name) > t.longest {
		name = name[1+int(name[0]):]
	}
	for len(name) > 0 {
		if n := t.nodes[string(name)]; n != nil {
			return n
		}
		name = name[1+int(name[0]):]
	}
	return nil
}

// nameKey has room for a name and a type, and is whole words.
type nameKey [256 + 8]byte

// lowerName writes the name in the question to key, in lower case, and returns its length; 0: it is not a name as it has to be there.
func lowerName(key *nameKey, query []byte) int {
	end := headerLength
	for end < len(query) && query[end] != 0 {
		if query[end] > 63 { // a pointer, which has nowhere to point to from here
			return 0
		}
		end += 1 + int(query[end])
	}
	n := end + 1 - headerLength
	if end >= len(query) || n > maxName {
		return 0
	}
	copy(key[:], query[headerLength:end+1])
	for i := 0; i < n; i += 8 {
		word := key[i : i+8]
		binary.LittleEndian.PutUint64(word, lower(binary.LittleEndian.Uint64(word)))
	}
	return n
}

// lower makes eight bytes lower case. Of a name it may be given the lengths of labels as well: they are less than any letter.
func lower(word uint64) uint64 {
	const every = 0x0101010101010101
	low := word & (0x7f * every)
	fromA := low + (0x80-'A')*every    // bit 7 of each byte: not before A
	afterZ := low + (0x80-'Z'-1)*every // after Z
	return word | (fromA&^afterZ&^word&(0x80*every))>>2
}

// plainOPT is the OPT record of a query, as far as fast answers it.
type plainOPT struct {
	room   int  // how long the answer may be
	length int  // of the answer's own OPT record; 0: none
	do     byte // the DO bit
}

// readPlainOPT reads what follows the question: as many records as are announced, none or one.
func readPlainOPT(b []byte, records byte) (o plainOPT, ok bool) {
	if records == 0 {
		return plainOPT{room: minUDP}, len(b) == 0
	}
	// The root's name, type 41, the room, extended RCODE 0, version 0, flags, length, options.
	if len(b) < optLength || b[0] != 0 || b[1] != 0 || b[2] != 41 || b[5] != 0 || b[6] != 0 || !onlyCookies(b[9:]) {
		return plainOPT{}, false
	}
	return plainOPT{room: udpRoom(binary.BigEndian.Uint16(b[3:])), length: optLength, do: b[7] & 0x80}, true
}

// udpRoom is how long an answer over UDP may be when so much was offered.
func udpRoom(offered uint16) int { return int(min(max(offered, minUDP), maxUDP)) }

// onlyCookies tells that there are no options but cookies, which resolvers send unasked and which may be ignored (RFC 7873).
func onlyCookies(b []byte) bool {
	if len(b) < 2 || len(b)-2 != int(binary.BigEndian.Uint16(b)) {
		return false
	}
	for b = b[2:]; len(b) > 0; {
		if len(b) < 4 || b[0] != 0 || b[1] != 10 {
			return false
		}
		length := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < length {
			return false
		}
		b = b[length:]
	}
	return true
}

// finish adds the OPT record to the answer, if the query had one.
func (o plainOPT) finish(answer []byte) []byte {
	if o.length == 0 {
		return answer
	}
	answer[11]++ // 255 records would not have fitted: there is no carry
	return append(answer, 0, 0, 41, maxUDP>>8, maxUDP&0xff, 0, 0, o.do, 0, 0, 0)
}
