package dns

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// reply is what is said to a question, and how it is sent.
type reply struct {
	rcode                         int
	lame                          bool // not said with authority
	truncated                     bool // what there is to say does not fit
	answer, authority, additional []dns.RR

	// What fast copies: the counts of the three sections, and the sections. They follow a question of the name that they were packed for.
	counts   [6]byte
	sections []byte
	dated    bool  // they end with a SOA record, in which the table's serial is to be put
	pointers []int // of a node's nodata: where its SOA record points into what is before
}

// The SOA's times are for secondary servers, of which there are none: zones are not transferred.
const (
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 604800
)

// serialFromEnd is where the serial is in a SOA record: before four times.
const serialFromEnd = 20

// pack makes the bytes of a reply for questions of a name.
func (r *reply) pack(n *node) error {
	b, err := r.message(dns.Question{Name: n.name, Qtype: dns.TypeA, Qclass: dns.ClassINET}, 0, nil).Pack()
	if err != nil {
		return fmt.Errorf("pack the answer for %s: %w", n.name, err)
	}
	copy(r.counts[:], b[6:headerLength])
	r.sections = slices.Clone(b[headerLength+len(n.key)+4:])
	r.dated = slices.ContainsFunc(slices.Concat(r.answer, r.authority), isSOA)
	return nil
}

// soaPointers are where the names in a SOA record, its owner's and two in its data, end with a pointer.
func soaPointers(soa []byte) (pointers []int) {
	at := 0
	for i := range 3 {
		for soa[at] != 0 && soa[at] < 0xc0 {
			at += 1 + int(soa[at])
		}
		if soa[at] == 0 {
			at++
		} else {
			pointers = append(pointers, at)
			at += 2
		}
		if i == 0 {
			at += 10 // type, class, TTL and length
		}
	}
	return pointers
}

// begin makes the answer to a query that begins with this header and question, but for the OPT record.
func (r *reply) begin(dst, query []byte, serial uint32) []byte {
	dst = append(dst, query...)
	dst[2] = bitQR | query[2]&bitRD
	if !r.lame {
		dst[2] |= bitAA
	}
	dst[3] = byte(r.rcode)
	copy(dst[6:], r.counts[:])
	dst = append(dst, r.sections...)
	if r.dated {
		binary.BigEndian.PutUint32(dst[len(dst)-serialFromEnd:], serial)
	}
	return dst
}

// message is the reply to a question, with an OPT record if there is one.
func (r *reply) message(question dns.Question, serial uint32, opt *dns.OPT) *dns.Msg {
	m := &dns.Msg{
		MsgHdr:   dns.MsgHdr{Response: true, Authoritative: !r.lame, Truncated: r.truncated, Rcode: r.rcode},
		Compress: true,
		Question: []dns.Question{question},
		Answer:   dated(r.answer, serial), Ns: dated(r.authority, serial), Extra: r.additional,
	}
	if opt != nil {
		m.Extra = append(slices.Clip(m.Extra), opt)
	}
	return m
}

func isSOA(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA }

// dated are the records with the serial in the SOA record, which then is the only one.
func dated(rrs []dns.RR, serial uint32) []dns.RR {
	if len(rrs) != 1 || !isSOA(rrs[0]) {
		return rrs
	}
	soa := *rrs[0].(*dns.SOA)
	soa.Serial = serial
	return []dns.RR{&soa}
}

// turns are the replies that take turns when it is the turn of the first IDC of these: one with each of its addresses. Where all addresses are
// answered, the others follow it.
func turns(n *node, ttl uint32, idcs [][]netip.Addr) (made []*reply, err error) {
	for first := range idcs[0] {
		var answer []netip.Addr
		for _, addresses := range idcs {
			at := first % len(addresses)
			answer = append(append(answer, addresses[at:]...), addresses[:at]...)
		}
		if !n.data.All {
			answer = answer[:1]
		}
		r := &reply{answer: records(n.name, ttl, answer)}
		if err := r.pack(n); err != nil {
			return nil, err
		}
		made = append(made, r)
	}
	return made, nil
}

// records are the A and AAAA records of a name.
func records(owner string, ttl uint32, addresses []netip.Addr) (rrs []dns.RR) {
	for _, a := range addresses {
		if a.Is4() {
			rrs = append(rrs, &dns.A{Hdr: header(owner, dns.TypeA, ttl), A: a.AsSlice()})
		} else {
			rrs = append(rrs, &dns.AAAA{Hdr: header(owner, dns.TypeAAAA, ttl), AAAA: a.AsSlice()})
		}
	}
	return rrs
}

// minimal is all that is said of a name to whoever asks for everything (RFC 8482).
func minimal(name string, ttl uint32) dns.RR {
	return &dns.HINFO{Hdr: header(name, dns.TypeHINFO, ttl), Cpu: "RFC8482"}
}

func header(owner string, kind uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

// newApex makes the records of a zone itself.
func newApex(z Zone) (a *apex, ns *reply) {
	a, ns = &apex{zone: z, origin: z.origin()}, &reply{}
	ttl, negative := seconds(z.TTL), seconds(z.NegativeTTL)
	for _, server := range z.servers() {
		host := dns.CanonicalName(server)
		ns.answer = append(ns.answer, &dns.NS{Hdr: header(a.origin, dns.TypeNS, ttl), Ns: host})
		if dns.IsSubDomain(a.origin, host) {
			ns.additional = append(ns.additional, records(host, ttl, z.NS[server])...)
		}
	}
	mailbox := "hostmaster." + a.origin
	a.mailbox = []byte(wire(mailbox))
	a.soa = &dns.SOA{
		Hdr: header(a.origin, dns.TypeSOA, ttl), Ns: dns.CanonicalName(z.servers()[0]), Mbox: mailbox,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: negative,
	}
	soa := *a.soa
	soa.Hdr.Ttl = min(ttl, negative) // RFC 2308, section 3
	a.nodata = &reply{authority: []dns.RR{&soa}}
	a.nxdomain = &reply{rcode: dns.RcodeNameError, authority: a.nodata.authority}
	return a, ns
}
