package probes

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// echo is what a request carries and the reply to it brings back (RFC 792, RFC 4443). The sequence number tells the request in an ICMP
// error that quotes no more than its head; the rest is in the data, since the kernel chooses the identifier of datagram sockets.
type echo struct {
	seq   uint16
	index uint32 // of the target
	nonce uint64 // by chance, so that nobody who did not see the request can answer it
}

// echoRequest is one to be sent.
type echoRequest struct {
	echo
	to   netip.Addr
	size int // of the data
}

// echoReply is what came back of one.
type echoReply struct {
	echo
	from     netip.Addr // whom the request was sent to, where reason is not empty
	at       int64      // when the kernel had it, in Unix nanoseconds; 0: not told
	hopLimit int        // 0: not told
	reason   string     // of a router, or of the target, that the request did not come to its end; empty: a reply
	quoted   bool       // reason is of a whole request: index and nonce are known
}

// echoSocket sends to and hears from all targets of one address family. It is used by one goroutine.
type echoSocket interface {
	// send sends all. What could not be sent for a reason on this side is told to failed, and says nothing of the target.
	send(requests []echoRequest, failed func(echoRequest, error))
	// receive hands on all that has come by now, and does not wait. It may hand on what is not a reply to any of the requests. Lost is how
	// much has come in all that the kernel had no room for.
	receive(got func(echoReply)) (lost uint32)
	Close() error
}

const (
	echoHead    = 8  // type, code, checksum, identifier, sequence number
	echoData    = 12 // index and nonce
	maxEchoData = 1472

	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// put writes a request into a packet of the size wanted.
func (e echo) put(packet []byte, v6 bool, id uint16) {
	packet[0], packet[1], packet[2], packet[3] = echoRequest4, 0, 0, 0
	binary.BigEndian.PutUint16(packet[4:], id)
	binary.BigEndian.PutUint16(packet[6:], e.seq)
	binary.BigEndian.PutUint32(packet[8:], e.index)
	binary.BigEndian.PutUint64(packet[12:], e.nonce)
	if v6 {
		packet[0] = echoRequest6 // whose checksum the kernel knows, since it is over addresses too
		return
	}
	binary.BigEndian.PutUint16(packet[2:], checksum(packet))
}

// checksum is that of RFC 1071.
func checksum(packet []byte) uint16 {
	var sum uint64
	for ; len(packet) >= 4; packet = packet[4:] {
		sum += uint64(binary.BigEndian.Uint32(packet))
	}
	if len(packet) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(packet))
		packet = packet[2:]
	}
	if len(packet) == 1 {
		sum += uint64(packet[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// parseReply reads an echo reply, which begins with its IPv4 header where header is true.
func parseReply(packet []byte, v6, header bool) (e echo, ok bool) {
	if header {
		if len(packet) == 0 || packet[0]>>4 != 4 {
			return e, false
		}
		length := int(packet[0]&0xf) * 4
		if length < 20 || length > len(packet) {
			return e, false
		}
		packet = packet[length:]
	}
	kind := byte(echoReply4)
	if v6 {
		kind = echoReply6
	}
	if len(packet) < echoHead+echoData || packet[0] != kind || packet[1] != 0 {
		return e, false
	}
	return echoIn(packet), true
}

// parseQuoted reads the request that an ICMP error quotes. Many routers quote no more than its head: whole is false then, and only the
// sequence number is known.
func parseQuoted(packet []byte, v6 bool) (e echo, whole, ok bool) {
	kind := byte(echoRequest4)
	if v6 {
		kind = echoRequest6
	}
	if len(packet) < echoHead || packet[0] != kind || packet[1] != 0 {
		return e, false, false
	}
	if len(packet) < echoHead+echoData {
		return echo{seq: binary.BigEndian.Uint16(packet[6:])}, false, true
	}
	return echoIn(packet), true, true
}

func echoIn(packet []byte) echo {
	return echo{
		seq:   binary.BigEndian.Uint16(packet[6:]),
		index: binary.BigEndian.Uint32(packet[8:]),
		nonce: binary.BigEndian.Uint64(packet[12:]),
	}
}

// unreached says what an ICMP error says of a request, by its type and code; empty: nothing of the target.
func unreached(kind, code byte, v6 bool) string {
	unreachable, exceeded := byte(3), byte(11)
	codes := []string{
		0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable", 5: "source route failed",
		6: "network unknown", 7: "host unknown", 9: "network prohibited", 10: "host prohibited", 13: "prohibited by a filter",
	}
	if v6 {
		unreachable, exceeded = 1, 3
		codes = []string{
			0: "no route", 1: "prohibited by a filter", 2: "beyond the scope of the source address", 3: "address unreachable",
			4: "port unreachable", 5: "source address refused by policy", 6: "route rejected",
		}
	}
	switch {
	case kind == exceeded:
		return "time to live exceeded on the way"
	case kind != unreachable || !v6 && code == 4: // fragmentation needed
		return ""
	case int(code) < len(codes) && codes[code] != "":
		return codes[code]
	}
	return fmt.Sprintf("unreachable (code %d)", code)
}
