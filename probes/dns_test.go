package probes

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"
)

// dnsAt serves DNS over UDP and TCP at one port.
func dnsAt(t *testing.T, handler dns.HandlerFunc) string {
	t.Helper()
	var packets net.PacketConn
	var listener net.Listener
	for range 20 { // a port that is free in both
		var err error
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		if packets, err = net.ListenPacket("udp", listener.Addr().String()); err == nil {
			break
		}
		require.NoError(t, listener.Close())
	}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		ready, ended := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(ready) }
		go func() {
			defer close(ended)
			_ = server.ActivateAndServe()
		}()
		<-ready
		t.Cleanup(func() {
			_ = server.Shutdown()
			<-ended
		})
	}
	return listener.Addr().String()
}

// answers replies with records, one for each line of text.
func answers(t *testing.T, lines ...string) dns.HandlerFunc {
	t.Helper()
	var records []dns.RR
	for _, line := range lines {
		record, err := dns.NewRR(line)
		require.NoError(t, err)
		records = append(records, record)
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := (&dns.Msg{}).SetReply(q)
		m.Authoritative = true
		for _, record := range records {
			if record.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, record)
			}
		}
		_ = w.WriteMsg(m)
	}
}

func probeDNS(t *testing.T, server string, around surroundings, change func(*DNSModule)) Result {
	t.Helper()
	module := defaultModule("dns")
	module.Timeout = 20 * time.Second
	module.DNS.QueryName = "api.gslb.example.com"
	change(&module.DNS)
	require.NoError(t, module.DNS.Validate())
	probe, err := openDNS(&module, around)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), module.Timeout)
	defer cancel()
	return probe(ctx, &Target{Target: server})
}

const (
	first  = "api.gslb.example.com. 5 IN A 127.1.0.1"
	second = "api.gslb.example.com. 5 IN A 127.2.0.1"
	soa    = "api.gslb.example.com. 60 IN SOA ns1.gslb.example.com. admin.example.com. 2026112101 3600 600 86400 5"
)

func expression(text string) []Regexp {
	var r Regexp
	_ = r.UnmarshalText([]byte(text))
	return []Regexp{r}
}

func TestDNSProbe(t *testing.T) {
	server := dnsAt(t, answers(t, first, second, soa))
	f := func(reason string, change func(*DNSModule)) {
		t.Helper()
		r := probeDNS(t, server, surroundings{}, change)
		require.NoError(t, r.Err)
		require.Equal(t, reason, r.Reason)
		require.Equal(t, reason == "", r.OK)
	}
	f("", func(*DNSModule) {})
	f("", func(m *DNSModule) { m.Transport = "tcp" })
	f("", func(m *DNSModule) { m.Transport, m.Authoritative = "both", true })
	f("", func(m *DNSModule) { m.SourceIP = "127.0.0.1" })
	f("", func(m *DNSModule) { m.QueryName = "API.gslb.example.com." })
	// rcode
	f("rcode is NOERROR, not NXDOMAIN or REFUSED", func(m *DNSModule) { m.ValidRcodes = []string{"NXDOMAIN", "REFUSED"} })
	f("udp: rcode is NOERROR, not NXDOMAIN", func(m *DNSModule) { m.Transport, m.ValidRcodes = "both", []string{"NXDOMAIN"} })
	// addresses
	f("", func(m *DNSModule) { m.Expect = []string{"127.2.0.1", "127.1.0.1", "127.3.0.1"} })
	f("answers 127.2.0.1, which is not among [127.1.0.1]", func(m *DNSModule) { m.Expect = []string{"127.1.0.1"} })
	f("answers no address, not one of [::1]", func(m *DNSModule) { m.QueryType, m.Expect = "AAAA", []string{"::1"} })
	// TTL
	f("", func(m *DNSModule) { m.TTL = TTLRange{Min: 5 * time.Second, Max: 5 * time.Second} })
	f("TTL 5s of api.gslb.example.com. is below ttl::min, 6s", func(m *DNSModule) { m.TTL.Min = 6 * time.Second })
	f("TTL 5s of api.gslb.example.com. is above ttl::max, 4s", func(m *DNSModule) { m.TTL.Max = 4 * time.Second })
	// blackbox_exporter's conditions
	f("", func(m *DNSModule) { m.Answer.FailIfNoneMatches = expression(`127\.2\.0\.1`) })
	f("answer: no record matches fail_if_none_matches_regexp", func(m *DNSModule) { m.Answer.FailIfNoneMatches = expression(`127\.3`) })
	f("answer: a record matches fail_if_matches_regexp: api.gslb.example.com. 5 IN A 127.2.0.1", func(m *DNSModule) { m.Answer.FailIfMatches = expression(`127\.2`) })
	f("answer: all records match fail_if_all_match_regexp", func(m *DNSModule) { m.Answer.FailIfAllMatch = expression(`127\.`) })
	f("", func(m *DNSModule) { m.Answer.FailIfAllMatch = expression(`127\.2`) })
	f("answer: a record does not match fail_if_not_matches_regexp: api.gslb.example.com. 5 IN A 127.1.0.1", func(m *DNSModule) { m.Answer.FailIfNotMatches = expression(`127\.2`) })
	f("authority: no record matches fail_if_none_matches_regexp", func(m *DNSModule) { m.Authority.FailIfNoneMatches = expression(`SOA`) })
}

func TestDNSProbeMeasures(t *testing.T) {
	server := dnsAt(t, answers(t, first, second, soa))
	r := probeDNS(t, server, surroundings{}, func(m *DNSModule) { m.Transport = "both" })
	require.Subset(t, r.Values, []Value{
		{Name: "probe_dns_query_succeeded", Number: 1},
		{Name: "probe_dns_answer_rrs", Number: 2},
		{Name: "probe_dns_authority_rrs"},
		{Name: "probe_dns_additional_rrs"},
		{Name: "probe_ip_protocol", Number: 4},
	})
	names := map[string]bool{}
	for _, v := range r.Values {
		require.False(t, names[v.Name], v.Name)
		names[v.Name] = true
	}
	require.Equal(t, []string{"connect", "request"}, []string{r.Phases[0].Name, r.Phases[1].Name})
	r = probeDNS(t, server, surroundings{}, func(m *DNSModule) { m.QueryType = "SOA" })
	require.Contains(t, r.Values, Value{Name: "probe_dns_serial", Number: 2026112101})
}

// What our own server answers now is what others should answer.
func TestDNSProbeAsServed(t *testing.T) {
	server := dnsAt(t, answers(t, first))
	serving := func(m *DNSModule) { m.Expect = []string{asServed} }
	served := func(known bool, all ...string) surroundings {
		return surroundings{answers: func(name string, qtype uint16) (addresses []netip.Addr, _ bool) {
			require.Equal(t, "api.gslb.example.com.", name)
			require.Equal(t, dns.TypeA, qtype)
			for _, text := range all {
				addresses = append(addresses, netip.MustParseAddr(text))
			}
			return addresses, known
		}}
	}
	require.Empty(t, probeDNS(t, server, served(true, "127.1.0.1", "127.2.0.1"), serving).Reason)
	require.Equal(t, "answers 127.1.0.1, which is not among [127.2.0.1]", probeDNS(t, server, served(true, "127.2.0.1"), serving).Reason)
	require.Equal(t, "expect: serving: this gateway itself does not serve api.gslb.example.com.", probeDNS(t, server, served(false), serving).Reason)

	core, logs := zapobserver.New(zap.WarnLevel)
	module := defaultModule("dns")
	module.DNS.QueryName = "api.gslb.example.com"
	serving(&module.DNS)
	probe, err := openDNS(&module, surroundings{log: zap.New(core)})
	require.NoError(t, err)
	for range 3 {
		require.Empty(t, probe(t.Context(), &Target{Target: server}).Reason)
	}
	require.Equal(t, 1, logs.Len())
}

func TestDNSServersAgree(t *testing.T) {
	server := dnsAt(t, answers(t, first, soa))
	same := dnsAt(t, answers(t, second, soa))
	other := dnsAt(t, answers(t, first, strings.ReplaceAll(soa, "2026112101", "2026112102")))
	none := dnsAt(t, answers(t, first))
	f := func(reason string, servers ...string) {
		t.Helper()
		require.Equal(t, reason, probeDNS(t, server, surroundings{}, func(m *DNSModule) { m.Agree = servers }).Reason)
	}
	f("", same)
	f(fmt.Sprintf("agree: SOA serial 2026112101 at %s, 2026112102 at %s", server, other), same, other)
	f(fmt.Sprintf("agree: %s tells no SOA serial of api.gslb.example.com.", none), none)
}

// A truncated answer is asked for again over TCP.
func TestDNSProbeTruncated(t *testing.T) {
	var tcp atomic.Int32
	whole := answers(t, first)
	server := dnsAt(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if _, ok := w.RemoteAddr().(*net.TCPAddr); ok {
			tcp.Add(1)
			whole(w, q)
			return
		}
		m := (&dns.Msg{}).SetReply(q)
		m.Truncated = true
		_ = w.WriteMsg(m)
	})
	r := probeDNS(t, server, surroundings{}, func(m *DNSModule) { m.Expect = []string{"127.1.0.1"} })
	require.Empty(t, r.Reason)
	require.EqualValues(t, 1, tcp.Load())
}

// Garbage and answers to other questions over UDP may be from anybody: the wait goes on.
func TestDNSProbeIsNotFooled(t *testing.T) {
	good := answers(t, first)
	server := func(last bool) string {
		return dnsAt(t, func(w dns.ResponseWriter, q *dns.Msg) {
			_, _ = w.Write([]byte("x"))
			_, _ = w.Write([]byte("this is no message of DNS, but long enough for a head"))
			for _, change := range []func(*dns.Msg){
				func(m *dns.Msg) { m.Id++ },
				func(m *dns.Msg) { m.Question[0].Name = "other.example.com." },
				func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX },
				func(m *dns.Msg) { m.Question = nil },
				func(m *dns.Msg) { m.Response = false },
			} {
				m := (&dns.Msg{}).SetReply(q)
				change(m)
				_ = w.WriteMsg(m)
			}
			if last {
				good(w, q)
			}
		})
	}
	require.Empty(t, probeDNS(t, server(true), surroundings{}, func(*DNSModule) {}).Reason)

	module := defaultModule("dns")
	module.DNS.QueryName = "api.gslb.example.com"
	probe, err := openDNS(&module, surroundings{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	require.Regexp(t, `^no answer, but \d packets that are none$`, probe(ctx, &Target{Target: server(false)}).Reason)

	// over TCP it is the server's own doing
	r := probeDNS(t, server(true), surroundings{}, func(m *DNSModule) { m.Transport = "tcp" })
	require.NotEmpty(t, r.Reason)
	require.NoError(t, r.Err)
}

// A server that refuses may say so without the question.
func TestDNSProbeRefused(t *testing.T) {
	server := dnsAt(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := (&dns.Msg{}).SetRcode(q, dns.RcodeRefused)
		m.Question = nil
		_ = w.WriteMsg(m)
	})
	require.Equal(t, "rcode is REFUSED, not NOERROR", probeDNS(t, server, surroundings{}, func(*DNSModule) {}).Reason)
}

func TestDNSProbeWithoutAServer(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	module := defaultModule("dns")
	module.DNS.QueryName = "api.gslb.example.com"
	probe, err := openDNS(&module, surroundings{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r := probe(ctx, &Target{Target: silent.LocalAddr().String()})
	require.Regexp(t, `^no answer after \d+m?s \(request\)$`, r.Reason)
	require.Contains(t, r.Values, Value{Name: "probe_dns_query_succeeded"})

	closed := silent.LocalAddr().String()
	require.NoError(t, silent.Close())
	r = probe(t.Context(), &Target{Target: "dns", Address: closed})
	require.Equal(t, "connection refused", r.Reason)
	require.NoError(t, r.Err)
}
