package probes

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// DNSModule has the settings of kind dns: blackbox_exporter's, with their defaults, and some more.
type DNSModule struct {
	QueryName        string `mapstructure:"query_name"`
	QueryType        string `mapstructure:"query_type"`
	QueryClass       string `mapstructure:"query_class"`
	RecursionDesired bool   `mapstructure:"recursion_desired"`
	Transport        string `mapstructure:"transport_protocol"` // udp (and tcp after a truncated answer), tcp, both

	ValidRcodes []string  `mapstructure:"valid_rcodes"`
	Answer      RRMatches `mapstructure:"validate_answer_rrs"`
	Authority   RRMatches `mapstructure:"validate_authority_rrs"`
	Additional  RRMatches `mapstructure:"validate_additional_rrs"`

	Authoritative bool     `mapstructure:"authoritative"` // the answer must have the flag AA
	Expect        []string `mapstructure:"expect"`        // nothing else may be answered, and one of them must be: addresses, or "serving"
	TTL           TTLRange `mapstructure:"ttl"`           // of all records of the answer
	Agree         []string `mapstructure:"agree"`         // other servers, whose SOA serial must be the same

	PreferredIP string `mapstructure:"preferred_ip_protocol"`
	FallbackIP  bool   `mapstructure:"ip_protocol_fallback"`
	SourceIP    string `mapstructure:"source_ip_address"`
	OverTLS     bool   `mapstructure:"dns_over_tls"` // not built; known so that its error says so
}

// RRMatches are conditions on the records of a section, each as text such as "example.com.\t300\tIN\tA\t192.0.2.1".
type RRMatches struct {
	FailIfMatches     []Regexp `mapstructure:"fail_if_matches_regexp"`      // any record any of them
	FailIfAllMatch    []Regexp `mapstructure:"fail_if_all_match_regexp"`    // all records one of them
	FailIfNotMatches  []Regexp `mapstructure:"fail_if_not_matches_regexp"`  // any record not one of them
	FailIfNoneMatches []Regexp `mapstructure:"fail_if_none_matches_regexp"` // no record one of them
}

// TTLRange bounds a time to live. 0 does not bound it.
type TTLRange struct {
	Min time.Duration `mapstructure:"min"`
	Max time.Duration `mapstructure:"max"`
}

func defaultDNS() DNSModule {
	return DNSModule{
		QueryType: "A", QueryClass: "IN", RecursionDesired: true, Transport: "udp", ValidRcodes: []string{"NOERROR"}, PreferredIP: "ip6", FallbackIP: true,
	}
}

// asServed is what expect says instead of addresses.
const asServed = "serving"

// Validate reports all mistakes but that there is no query_name, which only modules of kind dns need.
func (m DNSModule) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if _, ok := dns.IsDomainName(m.QueryName); m.QueryName != "" {
		check(ok, "query_name: %q is no name", m.QueryName)
	}
	qtype, ok := dns.StringToType[m.QueryType]
	check(ok && !slices.Contains([]uint16{dns.TypeAXFR, dns.TypeIXFR, dns.TypeOPT, dns.TypeTSIG, dns.TypeNone}, qtype), "query_type: %q: must be a type of records such as A, AAAA or SOA", m.QueryType)
	_, ok = dns.StringToClass[m.QueryClass]
	check(ok, "query_class: %q: must be IN, CH, HS or ANY", m.QueryClass)
	check(slices.Contains([]string{"udp", "tcp", "both"}, m.Transport), "transport_protocol: %q: must be udp, tcp or both", m.Transport)
	check(len(m.ValidRcodes) > 0, "valid_rcodes: name at least one, such as NOERROR")
	for _, name := range m.ValidRcodes {
		_, ok := dns.StringToRcode[name]
		check(ok, "valid_rcodes: %q: must be like NOERROR, NXDOMAIN or REFUSED", name)
	}
	addresses := qtype == dns.TypeA || qtype == dns.TypeAAAA
	check(addresses || len(m.Expect) == 0, "expect: is of addresses, and query_type is %s: use validate_answer_rrs", m.QueryType)
	for _, text := range m.Expect {
		if text == asServed && len(m.Expect) == 1 {
			continue
		}
		ip, err := netip.ParseAddr(text)
		check(err == nil, "expect: %q: must be serving, or a list of addresses", text)
		check(err != nil || !addresses || ip.Is4() == (qtype == dns.TypeA), "expect: %q is no address for query_type %s", text, m.QueryType)
	}
	check(m.TTL.Min >= 0 && m.TTL.Max >= 0 && (m.TTL.Max == 0 || m.TTL.Min <= m.TTL.Max), "ttl: min %v and max %v bound nothing", m.TTL.Min, m.TTL.Max)
	for _, server := range m.Agree {
		_, _, err := splitServer(server)
		check(err == nil, "agree: %w", err)
	}
	check(!m.OverTLS, "dns_over_tls: is not built: leave it away, or probe the port by a module of kind tcp with tls: true")
	return errors.Join(append(errs, m.dialer().validate(m.PreferredIP, m.SourceIP))...)
}

func (m *DNSModule) dialer() dialer { return newDialer(m.PreferredIP, m.FallbackIP, m.SourceIP) }

// surroundings are what kinds need of the gateway around them.
type surroundings struct {
	// answers tells what our own DNS server answers now; nil: there is none.
	answers func(name string, qtype uint16) (addresses []netip.Addr, known bool)

	log *zap.Logger // nil: nobody reads it
}

func checkDNS(target *Target) error {
	_, _, err := splitServer(target.Target)
	return err
}

// splitServer reads a DNS server: a host, or host:port.
func splitServer(server string) (host string, port uint16, err error) {
	if isHost(server) {
		return server, 53, nil
	}
	return splitHostPort(server)
}

// fails says which condition on records is broken; empty: none.
func (m *RRMatches) fails(section string, records []dns.RR) string {
	if len(m.FailIfMatches)+len(m.FailIfAllMatch)+len(m.FailIfNotMatches)+len(m.FailIfNoneMatches) == 0 {
		return ""
	}
	matching := func(all []Regexp) (n int, first, last string) {
		for _, record := range records {
			text := record.String()
			if slices.ContainsFunc(all, func(r Regexp) bool { return r.MatchString(text) }) {
				n, first = n+1, text
			} else {
				last = text
			}
		}
		return n, strings.ReplaceAll(first, "\t", " "), strings.ReplaceAll(last, "\t", " ")
	}
	if n, record, _ := matching(m.FailIfMatches); n > 0 {
		return fmt.Sprintf("%s: a record matches fail_if_matches_regexp: %s", section, record)
	}
	if n, _, _ := matching(m.FailIfAllMatch); len(m.FailIfAllMatch) > 0 && n == len(records) {
		return section + ": all records match fail_if_all_match_regexp"
	}
	if n, _, record := matching(m.FailIfNotMatches); len(m.FailIfNotMatches) > 0 && n < len(records) {
		return fmt.Sprintf("%s: a record does not match fail_if_not_matches_regexp: %s", section, record)
	}
	if n, _, _ := matching(m.FailIfNoneMatches); len(m.FailIfNoneMatches) > 0 && n == 0 {
		return section + ": no record matches fail_if_none_matches_regexp"
	}
	return ""
}
