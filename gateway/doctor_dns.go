package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	questionTimeout   = time.Second
	delegationTimeout = 8 * time.Second // for a zone
	mostZones         = 20
	mostParents       = 3 // servers of a parent that are asked
)

// systemResolver is the DNS server that this machine asks; "": it asks none.
func systemResolver() string {
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil || len(config.Servers) == 0 {
		return ""
	}
	return config.Servers[0]
}

// dns looks at what is answered.
func (d *doctor) dns(s *dnsState) {
	if s.Error != "" {
		d.add(levelError, "dns_stale", "", "answers do not follow what is served: "+s.Error, "correct extensions::dns::zones, and reload; until then the last good answers stay")
	}
}

// delegations compares what the parents of the zones say of them with what the zones say themselves.
func (d *doctor) delegations(ctx context.Context, s *dnsState) {
	for _, z := range s.Zones[:min(len(s.Zones), mostZones)] {
		own := map[string][]string{}
		outside := len(z.NS) == 0
		for name, addresses := range z.NS {
			own[dns.CanonicalName(name)] = slices.Sorted(slices.Values(addresses))
			outside = outside || len(addresses) == 0 || slices.ContainsFunc(addresses, isOutside)
		}
		zone := dns.CanonicalName(z.Zone)
		if !outside {
			d.add(levelSkip, "delegation", zone, "its name servers have loopback addresses: nobody can delegate to them", "give extensions::dns::zones::…::ns addresses that resolvers reach, once it is no trial")
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, delegationTimeout)
		d.delegation(ctx, zone, own)
		cancel()
	}
}

// delegation looks at one zone, whose name servers within it have these addresses.
func (d *doctor) delegation(ctx context.Context, zone string, own map[string][]string) {
	skip := func(why string) {
		d.add(levelSkip, "delegation", zone, "could not be looked at: "+why, "run it where the Internet's DNS, or that of the parent zone, can be asked (--resolver)")
	}
	parent, servers, err := d.parent(ctx, zone)
	if err != nil {
		skip(err.Error())
		return
	}
	var told, unheard []string
	for _, server := range servers {
		if len(told) == mostParents {
			break
		}
		referral, err := d.ask(ctx, server, zone, dns.TypeNS)
		if err == nil && referral.Rcode != dns.RcodeSuccess && referral.Rcode != dns.RcodeNameError { // it says nothing of the zone
			err = fmt.Errorf("%s answers %s", server, dns.RcodeToString[referral.Rcode])
		}
		if err != nil {
			unheard = append(unheard, err.Error())
			continue
		}
		told = append(told, server)
		if d.compare(ctx, zone, parent, server, referral, own) {
			return // the others of the parent would say it again
		}
	}
	if len(told) == 0 {
		skip("no server of " + parent + " answers: " + few(unheard))
		return
	}
	d.servers(ctx, zone, own)
}

// parent finds the zone above, and the addresses of its servers.
func (d *doctor) parent(ctx context.Context, zone string) (parent string, servers []string, err error) {
	if d.resolver == "" {
		return "", nil, errors.New("this machine has no resolver")
	}
	for at, end := dns.NextLabel(zone, 0); ; at, end = dns.NextLabel(zone, at) {
		if parent = zone[at:]; end {
			parent = "."
		}
		answer, err := d.resolve(ctx, parent, dns.TypeNS)
		if err != nil {
			return "", nil, fmt.Errorf("the resolver does not answer: %w", err)
		}
		var names []string
		for _, record := range answer.Answer {
			if ns, ok := record.(*dns.NS); ok && dns.CanonicalName(ns.Hdr.Name) == parent {
				names = append(names, ns.Ns)
			}
		}
		for _, name := range names {
			for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
				if found, err := d.resolve(ctx, name, kind); err == nil {
					servers = append(servers, addressesIn(found.Answer)...)
				}
			}
			if len(servers) >= mostParents {
				break
			}
		}
		switch {
		case len(servers) > 0:
			return parent, servers, nil
		case len(names) > 0:
			return "", nil, fmt.Errorf("the servers of %s have no addresses", parent)
		case end:
			return "", nil, errors.New("the resolver knows no servers of the zones above it")
		}
	}
}

// compare tells whether it has found that a server of the parent delegates otherwise than the zone is.
func (d *doctor) compare(ctx context.Context, zone, parent, server string, referral *dns.Msg, own map[string][]string) (found bool) {
	delegated := map[string]bool{}
	for _, record := range slices.Concat(referral.Answer, referral.Ns) {
		if ns, ok := record.(*dns.NS); ok && dns.CanonicalName(ns.Hdr.Name) == zone {
			delegated[dns.CanonicalName(ns.Ns)] = true
		}
	}
	who, wanted := fmt.Sprintf("%s, a server of %s,", server, parent), strings.Join(slices.Sorted(maps.Keys(own)), ", ")
	if len(delegated) == 0 {
		d.add(levelError, "delegation", zone, fmt.Sprintf("%s does not delegate it (%s): nobody finds it", who, dns.RcodeToString[referral.Rcode]),
			fmt.Sprintf("put into the zone %s NS records of %s to %s, with their addresses", parent, zone, wanted))
		return true
	}
	if names := strings.Join(slices.Sorted(maps.Keys(delegated)), ", "); names != wanted {
		d.add(levelError, "delegation", zone, fmt.Sprintf("%s delegates it to %s, and it has %s", who, names, wanted),
			fmt.Sprintf("make the NS records of %s in the zone %s, and extensions::dns::zones::%s::ns, the same", zone, parent, strings.TrimSuffix(zone, ".")))
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if !dns.IsSubDomain(zone, name) || len(own[name]) == 0 {
			continue
		}
		has, err := d.glue(ctx, server, name, referral, own[name])
		switch {
		case err != nil:
			d.add(levelSkip, "glue", name, "could not be looked at: "+err.Error(), "run it again, or where "+server+" answers")
		case !slices.Equal(has, own[name]):
			d.add(levelError, "glue", name, fmt.Sprintf("%s gives it the addresses [%s], and it has [%s]", who, strings.Join(has, " "), strings.Join(own[name], " ")),
				fmt.Sprintf("correct its address records (the glue) in the zone %s, or extensions::dns::zones::%s::ns", parent, strings.TrimSuffix(zone, ".")))
			found = true
		}
	}
	return found
}

// glue is the addresses that a server of the parent gives a name. A referral need not have all of them: whoever is missing some asks for the name.
func (d *doctor) glue(ctx context.Context, server, name string, referral *dns.Msg, own []string) (has []string, err error) {
	take := func(answer *dns.Msg) {
		for _, record := range slices.Concat(answer.Answer, answer.Extra) {
			if dns.CanonicalName(record.Header().Name) == name {
				has = append(has, addressesIn([]dns.RR{record})...)
			}
		}
		has = slices.Compact(slices.Sorted(slices.Values(has)))
	}
	take(referral)
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if slices.Equal(has, own) {
			break
		}
		answer, err := d.ask(ctx, server, name, kind)
		if err != nil {
			return nil, err
		}
		take(answer)
	}
	return has, nil
}

// servers asks the zone's own name servers.
func (d *doctor) servers(ctx context.Context, zone string, own map[string][]string) {
	silent := false
	for _, name := range slices.Sorted(maps.Keys(own)) {
		for _, address := range own[name] {
			answer, err := d.ask(ctx, address, zone, dns.TypeSOA)
			what := ""
			switch {
			case err != nil:
				what = "does not answer at port 53: " + err.Error()
			case answer.Rcode != dns.RcodeSuccess || !answer.Authoritative:
				what = fmt.Sprintf("does not answer as its master (%s)", dns.RcodeToString[answer.Rcode])
			default:
				continue
			}
			silent = true
			d.add(levelError, "name_server", name+" "+address, what,
				"let a gateway's extensions::dns::endpoint listen there at port 53 (UDP and TCP), or forward that port to it; a firewall may stand between")
		}
	}
	if !silent {
		d.add(levelOK, "delegation", zone, fmt.Sprintf("its parent delegates to %s, and these answer", strings.Join(slices.Sorted(maps.Keys(own)), ", ")), "")
	}
}

// ask asks a server for what it is the master of, or delegates.
func (d *doctor) ask(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	return exchange(ctx, net.JoinHostPort(server, cmp.Or(d.dnsPort, "53")), name, kind, false)
}

// resolve asks the resolver.
func (d *doctor) resolve(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	server := d.resolver
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	return exchange(ctx, server, name, kind, true)
}

// exchange asks by UDP, and again by TCP if the answer was cut.
func exchange(ctx context.Context, server, name string, kind uint16, recursive bool) (*dns.Msg, error) {
	question := new(dns.Msg).SetQuestion(name, kind)
	question.RecursionDesired = recursive
	question.SetEdns0(1232, false)
	client := dns.Client{Timeout: questionTimeout}
	answer, _, err := client.ExchangeContext(ctx, question, server)
	if err == nil && answer.Truncated {
		client.Net = "tcp"
		answer, _, err = client.ExchangeContext(ctx, question, server)
	}
	return answer, err
}

func addressesIn(records []dns.RR) (addresses []string) {
	for _, record := range records {
		switch r := record.(type) {
		case *dns.A:
			addresses = append(addresses, r.A.String())
		case *dns.AAAA:
			addresses = append(addresses, r.AAAA.String())
		}
	}
	return addresses
}
