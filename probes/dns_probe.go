package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// dnsProber is a module of kind dns, ready to probe.
type dnsProber struct {
	module       *DNSModule
	dialer       dialer
	name         string
	qtype, class uint16
	expected     []netip.Addr
	around       surroundings
	unserved     sync.Once
}

func openDNS(module *Module, around surroundings) (prober, error) {
	m := &module.DNS
	if m.QueryName == "" {
		return nil, errors.New("dns::query_name: missing: the name to ask for")
	}
	p := &dnsProber{module: m, dialer: m.dialer(), name: dns.Fqdn(m.QueryName), around: around}
	p.qtype, p.class = dns.StringToType[m.QueryType], dns.StringToClass[m.QueryClass]
	if !p.asServed() {
		for _, text := range m.Expect {
			ip, _ := netip.ParseAddr(text) // validated
			p.expected = append(p.expected, ip)
		}
	}
	return p.probe, nil
}

func (p *dnsProber) asServed() bool { return slices.Equal(p.module.Expect, []string{asServed}) }

func (p *dnsProber) probe(ctx context.Context, target *Target) Result {
	a := newAttempt()
	server := dnsServer{p, a, target.Target, target.Address}
	networks := []string{p.module.Transport}
	if p.module.Transport == "both" {
		networks = []string{"udp", "tcp"}
	}
	for i, network := range networks {
		answer, err := server.ask(ctx, network, p.name, p.qtype, p.class)
		if i == 0 {
			a.addBool("probe_dns_query_succeeded", err == nil)
		}
		if err != nil {
			return failed(ctx, a, err)
		}
		if i == 0 {
			p.measure(a, answer)
		}
		if reason := p.judge(answer); reason != "" {
			if len(networks) > 1 {
				reason = network + ": " + reason
			}
			return a.end(reason)
		}
	}
	reason, err := p.agree(ctx, server)
	if err != nil {
		return failed(ctx, a, err)
	}
	return a.end(reason)
}

// failed is the result of a question without an answer.
func failed(ctx context.Context, a *attempt, err error) Result {
	var strange *strangeError
	if errors.As(err, &strange) {
		return a.end(strange.Error())
	}
	return a.fail(ctx, err)
}

// measure keeps what an answer tells, under blackbox_exporter's names.
func (p *dnsProber) measure(a *attempt, answer *dns.Msg) {
	a.add("probe_dns_answer_rrs", float64(len(answer.Answer)))
	a.add("probe_dns_authority_rrs", float64(len(answer.Ns)))
	a.add("probe_dns_additional_rrs", float64(len(answer.Extra)))
	if serial, ok := serialOf(answer); ok {
		a.add("probe_dns_serial", float64(serial))
	}
}

// serialOf is that of a SOA record in an answer, or of one that says where there is none.
func serialOf(answer *dns.Msg) (uint32, bool) {
	for _, record := range slices.Concat(answer.Answer, answer.Ns) {
		if soa, ok := record.(*dns.SOA); ok {
			return soa.Serial, true
		}
	}
	return 0, false
}

// judge says what is wrong with an answer; empty: nothing.
func (p *dnsProber) judge(answer *dns.Msg) string {
	m := p.module
	rcode := dns.RcodeToString[answer.Rcode]
	if rcode == "" {
		rcode = fmt.Sprintf("RCODE%d", answer.Rcode)
	}
	if !slices.Contains(m.ValidRcodes, rcode) {
		return fmt.Sprintf("rcode is %s, not %s", rcode, strings.Join(m.ValidRcodes, " or "))
	}
	if m.Authoritative && !answer.Authoritative {
		return "the answer is not authoritative: flag AA is not set"
	}
	for _, record := range answer.Answer {
		ttl := time.Duration(record.Header().Ttl) * time.Second
		switch {
		case ttl < m.TTL.Min:
			return fmt.Sprintf("TTL %v of %s is below ttl::min, %v", ttl, record.Header().Name, m.TTL.Min)
		case m.TTL.Max > 0 && ttl > m.TTL.Max:
			return fmt.Sprintf("TTL %v of %s is above ttl::max, %v", ttl, record.Header().Name, m.TTL.Max)
		}
	}
	for _, reason := range []string{
		m.Answer.fails("answer", answer.Answer), m.Authority.fails("authority", answer.Ns), m.Additional.fails("additional", answer.Extra),
	} {
		if reason != "" {
			return reason
		}
	}
	return p.unexpected(answer)
}

// unexpected compares the addresses of an answer with what is expected.
func (p *dnsProber) unexpected(answer *dns.Msg) string {
	expected := p.expected
	switch {
	case len(p.module.Expect) == 0:
		return ""
	case !p.asServed():
	case p.around.answers == nil:
		p.unserved.Do(func() {
			if p.around.log != nil {
				p.around.log.Warn("no extension dns in this gateway: expect: serving is not checked")
			}
		})
		return ""
	default:
		var known bool
		if expected, known = p.around.answers(p.name, p.qtype); !known {
			return fmt.Sprintf("expect: serving: this gateway itself does not serve %s", p.name)
		}
	}
	n := 0
	for _, record := range answer.Answer {
		ip, ok := addressOf(record)
		if !ok {
			continue // such as a CNAME on the way
		}
		if n++; !slices.Contains(expected, ip) {
			return fmt.Sprintf("answers %v, which is not among %v", ip, expected)
		}
	}
	if n == 0 && len(expected) > 0 {
		return fmt.Sprintf("answers no address, not one of %v", expected)
	}
	return ""
}

func addressOf(record dns.RR) (netip.Addr, bool) {
	var ip net.IP
	switch r := record.(type) {
	case *dns.A:
		ip = r.A
	case *dns.AAAA:
		ip = r.AAAA
	}
	address, ok := netip.AddrFromSlice(ip)
	return address.Unmap(), ok
}

// agree compares the SOA serial of a server with that of the others: those of one zone have the same, but while a change is on its way.
func (p *dnsProber) agree(ctx context.Context, server dnsServer) (reason string, err error) {
	var first uint32
	for i, target := range append([]string{server.target}, p.module.Agree...) {
		if len(p.module.Agree) == 0 {
			return "", nil
		}
		one := server
		if i > 0 {
			one.target, one.address = target, ""
		}
		answer, err := one.ask(ctx, "udp", p.name, dns.TypeSOA, p.class)
		if err != nil {
			if i > 0 {
				return fmt.Sprintf("agree: %s: %s", target, inWords(err)), nil
			}
			return "", err
		}
		serial, ok := serialOf(answer)
		switch {
		case !ok:
			return fmt.Sprintf("agree: %s tells no SOA serial of %s", target, p.name), nil
		case i == 0:
			first = serial
		case serial != first:
			return fmt.Sprintf("agree: SOA serial %d at %s, %d at %s", first, server.target, serial, target), nil
		}
	}
	return "", nil
}
