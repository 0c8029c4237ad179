package dns

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// reply is what is said to a question, and how it is sent.
type reply struct {
	rcode                         int
	lame                          bool // not said with authority
	answer, authority, additional []dns.RR

	// What fast copies: the counts of the three sections, and the sections. They follow a question of the name that they were packed for.
	counts   [6]byte
	sections []byte
}

// message is the reply to a question, with an OPT record if there is one.
func (r *reply) message(question dns.Question, opt *dns.OPT) *dns.Msg {
	m := &dns.Msg{
		MsgHdr:   dns.MsgHdr{Response: true, Authoritative: !r.lame, Rcode: r.rcode},
		Compress: true,
		Question: []dns.Question{question},
		Answer:   r.answer, Ns: r.authority, Extra: r.additional,
	}
	if opt != nil {
		m.Extra = append(slices.Clip(m.Extra), opt)
	}
	return m
}

// pack makes the bytes of all replies.
func (e *entry) pack(name string) error {
	if e == nil {
		return nil
	}
	for _, c := range e.choices {
		for _, r := range c.replies {
			b, err := r.message(dns.Question{Name: name, Qtype: dns.TypeA, Qclass: dns.ClassINET}, nil).Pack()
			if err != nil {
				return fmt.Errorf("pack the answer for %s: %w", name, err)
			}
			copy(r.counts[:], b[6:headerLength])
			r.sections = slices.Clone(b[headerLength+len(wire(name))+4:])
			e.longest = max(e.longest, len(r.sections))
		}
	}
	return nil
}

// replies are those of the choice i: one for each of its addresses, so that they take turns; where all addresses are answered, they come first
// in turns. The addresses of the other IDCs follow while the weights are equal.
func replies(n *node, choices []choice, i int, ttl uint32) (made []*reply) {
	for first := range choices[i].addresses {
		answer := rotated(choices[i].addresses, first)
		switch {
		case !n.data.All:
			answer = answer[:1]
		case equal(choices):
			for other := 1; other < len(choices); other++ {
				answer = append(answer, rotated(choices[(i+other)%len(choices)].addresses, first)...)
			}
		}
		made = append(made, &reply{answer: records(n.name, ttl, answer)})
	}
	return made
}

func equal(choices []choice) bool {
	return !slices.ContainsFunc(choices, func(c choice) bool { return c.weight != choices[0].weight })
}

func rotated(addresses []netip.Addr, first int) []netip.Addr {
	first %= len(addresses)
	return slices.Concat(addresses[first:], addresses[:first])
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

func header(owner string, kind uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

// newApex makes the records of a zone itself.
func newApex(z Zone, serial uint32) *apex {
	a := &apex{zone: z, origin: z.origin()}
	ttl, negative := seconds(z.TTL), seconds(z.NegativeTTL)
	for _, server := range z.servers() {
		host := dns.CanonicalName(server)
		a.ns = append(a.ns, &dns.NS{Hdr: header(a.origin, dns.TypeNS, ttl), Ns: host})
		if dns.IsSubDomain(a.origin, host) {
			a.glue = append(a.glue, records(host, ttl, z.NS[server])...)
		}
	}
	a.soa = &dns.SOA{
		Hdr: header(a.origin, dns.TypeSOA, ttl), Ns: a.ns[0].(*dns.NS).Ns, Mbox: "hostmaster." + a.origin,
		Serial: serial, Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: negative,
	}
	soa := *a.soa
	soa.Hdr.Ttl = min(ttl, negative) // RFC 2308, section 3
	a.nodata = &reply{authority: []dns.RR{&soa}}
	a.nxdomain = &reply{rcode: dns.RcodeNameError, authority: a.nodata.authority}
	return a
}

// everything is all that is said of a name to whoever asks for everything (RFC 8482).
func (a *apex) everything(name string) dns.RR {
	return &dns.HINFO{Hdr: header(name, dns.TypeHINFO, a.soa.Hdr.Ttl), Cpu: "RFC8482"}
}
