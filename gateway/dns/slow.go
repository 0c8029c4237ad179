package dns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// slow answers every query, with all that RFC 1035, 2308, 6891, 7871, 8482 and 8906 want. Nil: nothing is to be said.
func (t *table) slow(query []byte, udp bool) []byte {
	if len(query) < headerLength || query[2]&bitQR != 0 {
		return nil // a response, and two servers that answer each other never end
	}
	if query[2]&opcodeBits != 0 {
		return refuse(query, dns.RcodeNotImplemented)
	}
	var key nameKey
	n := lowerName(&key, query)
	var asked dns.Msg
	if n == 0 || len(query) < headerLength+n+4 || !plausible(query, headerLength+n+4) || asked.Unpack(query) != nil || !whole(query, &asked) {
		return refuse(query, dns.RcodeFormatError)
	}
	opt, ok := onlyOPT(&asked)
	if !ok {
		return refuse(query, dns.RcodeFormatError)
	}
	room := roomFor(opt, udp)
	question := asked.Question[0]
	question.Name = dns.CanonicalName(question.Name)
	own := answerOPT(opt)
	var r *reply
	if opt != nil && opt.Version() != 0 {
		r = &reply{rcode: dns.RcodeBadVers, lame: true}
	} else {
		r = t.reply(string(key[:n]), question, room-headerLength-n-4-lengthOf(own))
	}
	b := encode(r, question, t.serial, own, room)
	if b == nil {
		return refuse(query, dns.RcodeServerFailure)
	}
	copy(b, query[:2])
	b[2] |= query[2] & bitRD
	copy(b[headerLength:], query[headerLength:headerLength+n]) // the case as it was asked: a resolver may check it
	return b
}

// reply is what is said to a question when there is so much room for records. What does not fit takes no turn: the client comes again by TCP, and
// if both counted, of two IDCs it would always get the same.
func (t *table) reply(name string, question dns.Question, room int) *reply {
	a := t.zone(name)
	if a == nil || !ours(question.Qtype, question.Qclass) {
		return refused()
	}
	if e := t.entry(name, question.Qtype); e != nil {
		if e.longest > room {
			return &reply{truncated: true}
		}
		return e.next()
	}
	if t.nodes[name] != nil {
		return a.nodata
	}
	return a.nxdomain
}

// ours tells that we have a say in questions of a type and class: zones are not transferred.
func ours(kind, class uint16) bool {
	return class == dns.ClassINET && kind != dns.TypeAXFR && kind != dns.TypeIXFR
}

// refused is said to questions in which we have no say.
func refused() *reply { return &reply{rcode: dns.RcodeRefused, lame: true} }

// zone is the zone that a name is in; nil: none of ours.
func (t *table) zone(name string) *apex {
	if n := t.closest([]byte(name)); n != nil {
		return n.apex
	}
	return nil
}

// encode makes the answer. What does not fit is left out, and the client is told to come by TCP.
func encode(r *reply, question dns.Question, serial uint32, opt *dns.OPT, room int) []byte {
	b, err := r.message(question, serial, opt).Pack()
	if err == nil && len(b) > room {
		short := reply{rcode: r.rcode, lame: r.lame, truncated: true}
		b, err = short.message(question, serial, opt).Pack()
	}
	if err != nil {
		return nil
	}
	return b
}

// refuse answers with a header alone: nothing can be said of the rest.
func refuse(query []byte, rcode byte) []byte {
	b := make([]byte, headerLength)
	copy(b, query[:2])
	b[2] = bitQR | query[2]&(opcodeBits|bitRD)
	b[3] = rcode
	return b
}

// plausible tells that one question is announced, and no more records than there can be in what follows it: who mangles packets is told by this
// what is wrong, at little expense.
func plausible(query []byte, end int) bool {
	const least = 11 // the root's name, type, class, TTL and no data
	records := int(binary.BigEndian.Uint16(query[6:])) + int(binary.BigEndian.Uint16(query[8:])) + int(binary.BigEndian.Uint16(query[10:]))
	return binary.BigEndian.Uint16(query[4:]) == 1 && records*least <= len(query)-end
}

// whole tells that as many records came as were announced.
func whole(query []byte, m *dns.Msg) bool {
	return len(m.Answer) == int(binary.BigEndian.Uint16(query[6:])) &&
		len(m.Ns) == int(binary.BigEndian.Uint16(query[8:])) &&
		len(m.Extra) == int(binary.BigEndian.Uint16(query[10:]))
}

// onlyOPT is the OPT record of a query; nil: there is none. Not ok: there are two, or it is not as it has to be (RFC 6891, section 6.1).
func onlyOPT(m *dns.Msg) (opt *dns.OPT, ok bool) {
	for _, rr := range m.Extra {
		o, is := rr.(*dns.OPT)
		if !is {
			continue
		}
		if opt != nil || o.Hdr.Name != "." {
			return nil, false
		}
		opt = o
	}
	return opt, true
}

// roomFor is how long the answer may be.
func roomFor(opt *dns.OPT, udp bool) int {
	switch {
	case !udp:
		return dns.MaxMsgSize
	case opt == nil:
		return minUDP
	}
	return udpRoom(opt.UDPSize())
}

func lengthOf(opt *dns.OPT) int {
	if opt == nil {
		return 0
	}
	return dns.Len(opt)
}

// answerOPT is the OPT record of the answer; nil if nobody asked for one. A client's subnet comes back with scope 0: the answer is the same for
// everybody (RFC 7871, section 7.2.1). Other options are ignored.
func answerOPT(asked *dns.OPT) *dns.OPT {
	if asked == nil {
		return nil
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(maxUDP)
	if asked.Do() {
		opt.SetDo()
	}
	for _, option := range asked.Option {
		if subnet, ok := option.(*dns.EDNS0_SUBNET); ok {
			subnet.SourceScope = 0
			opt.Option = append(opt.Option, subnet)
			break
		}
	}
	return opt
}
