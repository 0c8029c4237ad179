package dns

import (
	"encoding/hex"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

const zoneName = "gslb.example.com."

func TestAnswers(t *testing.T) {
	from := newTable(t, weights(5000, 5000))
	f := func(name string, kind uint16, rcode, answers, authorities, additionals int) *dns.Msg {
		t.Helper()
		m := ask(t, from, query(name, kind))
		require.Equal(t, dns.RcodeToString[rcode], dns.RcodeToString[m.Rcode])
		require.Equal(t, []int{answers, authorities, additionals}, []int{len(m.Answer), len(m.Ns), len(m.Extra)}, m)
		require.Equal(t, rcode == dns.RcodeSuccess || rcode == dns.RcodeNameError, m.Authoritative)
		require.Equal(t, query(name, kind).Question, m.Question)
		tcp := askTCP(t, from, query(name, kind))
		require.Equal(t, []int{m.Rcode, answers, authorities, additionals}, []int{tcp.Rcode, len(tcp.Answer), len(tcp.Ns), len(tcp.Extra)})
		return m
	}
	// an address
	f("api.gslb.example.com", dns.TypeA, dns.RcodeSuccess, 1, 0, 0)
	// no such type: no data, and the SOA
	m := f("six.gslb.example.com", dns.TypeA, dns.RcodeSuccess, 0, 1, 0)
	require.Equal(t, uint32(5), m.Ns[0].Header().Ttl)
	require.Equal(t, uint32(5), m.Ns[0].(*dns.SOA).Minttl)
	require.Equal(t, zoneName, m.Ns[0].Header().Name)
	f("api.gslb.example.com", dns.TypeTXT, dns.RcodeSuccess, 0, 1, 0)
	f("api.gslb.example.com", dns.TypeDS, dns.RcodeSuccess, 0, 1, 0)
	f("api.gslb.example.com", 1000, dns.RcodeSuccess, 0, 1, 0)
	// no such name
	m = f("nobody.gslb.example.com", dns.TypeA, dns.RcodeNameError, 0, 1, 0)
	require.Equal(t, uint32(5), m.Ns[0].Header().Ttl)
	f("below.api.gslb.example.com", dns.TypeA, dns.RcodeNameError, 0, 1, 0)
	// names between: they exist, and have nothing
	f("in.a.gslb.example.com", dns.TypeA, dns.RcodeSuccess, 0, 1, 0)
	f("a.gslb.example.com", dns.TypeANY, dns.RcodeSuccess, 0, 1, 0)
	f("b.a.gslb.example.com", dns.TypeA, dns.RcodeNameError, 0, 1, 0)
	// the zone itself
	m = f(zoneName, dns.TypeSOA, dns.RcodeSuccess, 1, 0, 0)
	require.Equal(t, "gslb.example.com.\t3600\tIN\tSOA\tns.example.net. hostmaster.gslb.example.com. 42 3600 600 604800 5", m.Answer[0].String())
	f(zoneName, dns.TypeNS, dns.RcodeSuccess, 3, 0, 3)
	f(zoneName, dns.TypeA, dns.RcodeSuccess, 0, 1, 0)
	// its servers
	f("ns1.gslb.example.com", dns.TypeAAAA, dns.RcodeSuccess, 1, 0, 0)
	f("ns2.gslb.example.com", dns.TypeAAAA, dns.RcodeSuccess, 0, 1, 0)
	// everything: as little as can be
	m = f("api.gslb.example.com", dns.TypeANY, dns.RcodeSuccess, 1, 0, 0)
	require.Equal(t, dns.TypeHINFO, m.Answer[0].Header().Rrtype)
	f("ns1.gslb.example.com", dns.TypeANY, dns.RcodeSuccess, 1, 0, 0)
	// elsewhere
	f("example.com", dns.TypeSOA, dns.RcodeRefused, 0, 0, 0)
	f("xgslb.example.com", dns.TypeA, dns.RcodeRefused, 0, 0, 0)
	f(".", dns.TypeNS, dns.RcodeRefused, 0, 0, 0)
	// transfers
	f(zoneName, dns.TypeAXFR, dns.RcodeRefused, 0, 0, 0)
	f(zoneName, dns.TypeIXFR, dns.RcodeRefused, 0, 0, 0)
}

func TestOtherClassesAreRefused(t *testing.T) {
	from := newTable(t, nil)
	f := func(name string, class uint16) {
		t.Helper()
		m := query(name, dns.TypeTXT)
		m.Question[0].Qclass = class
		m = ask(t, from, m)
		require.Equal(t, dns.RcodeRefused, m.Rcode)
		require.False(t, m.Authoritative)
	}
	f("version.bind.", dns.ClassCHAOS)
	f("id.server.", dns.ClassCHAOS)
	f("api.gslb.example.com.", dns.ClassCHAOS)
	f("api.gslb.example.com.", dns.ClassANY)
	f("api.gslb.example.com.", dns.ClassNONE)
}

func TestFlags(t *testing.T) {
	from := newTable(t, nil)
	m := query("api.gslb.example.com", dns.TypeA)
	m.RecursionDesired, m.AuthenticatedData, m.CheckingDisabled, m.Zero = true, true, true, true
	require.True(t, ask(t, from, m).RecursionDesired)
	m.Zero = false // now for fast
	require.True(t, ask(t, from, m).RecursionDesired)
	require.False(t, ask(t, from, query("api.gslb.example.com", dns.TypeA)).RecursionDesired)
}

func TestTheCaseOfTheQuestionComesBack(t *testing.T) {
	from := newTable(t, nil)
	for _, kind := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeANY} {
		m := ask(t, from, query("aPi.GSLB.eXample.Com", kind))
		require.Equal(t, dns.RcodeSuccess, m.Rcode)
		require.Equal(t, "aPi.GSLB.eXample.Com.", m.Question[0].Name)
	}
	require.Equal(t, "NOBODY.gslb.example.com.", ask(t, from, query("NOBODY.gslb.example.com", dns.TypeA)).Question[0].Name)
}

// withOPT adds an OPT record to a query.
func withOPT(m *dns.Msg, size uint16, do bool, options ...dns.EDNS0) *dns.Msg {
	m.SetEdns0(size, do)
	m.IsEdns0().Option = options
	return m
}

func TestEDNS(t *testing.T) {
	from := newTable(t, nil)
	f := func(m *dns.Msg, rcode, options int) *dns.OPT {
		t.Helper()
		got := ask(t, from, m)
		require.Equal(t, rcode, got.Rcode)
		opt := got.IsEdns0()
		require.NotNil(t, opt)
		require.Equal(t, uint8(0), opt.Version())
		require.Equal(t, uint16(1232), opt.UDPSize())
		require.Equal(t, m.IsEdns0().Do(), opt.Do())
		require.Len(t, opt.Option, options)
		require.Zero(t, opt.Z())
		return opt
	}
	for _, name := range []string{"api.gslb.example.com", "six.gslb.example.com"} { // an answer, no data
		f(withOPT(query(name, dns.TypeA), 4096, false), dns.RcodeSuccess, 0)
		f(withOPT(query(name, dns.TypeA), 4096, true), dns.RcodeSuccess, 0)
		f(withOPT(query(name, dns.TypeA), 0, false), dns.RcodeSuccess, 0)
		// options that are not understood are ignored
		f(withOPT(query(name, dns.TypeA), 1232, false, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}), dns.RcodeSuccess, 0)
		f(withOPT(query(name, dns.TypeA), 1232, false, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("x")}), dns.RcodeSuccess, 0)
		f(withOPT(query(name, dns.TypeA), 1232, false, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}), dns.RcodeSuccess, 0)
		// a client's subnet comes back with scope 0
		subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(192, 0, 2, 0)}
		opt := f(withOPT(query(name, dns.TypeA), 1232, false, subnet), dns.RcodeSuccess, 1)
		require.Equal(t, "192.0.2.0/24/0", opt.Option[0].String())
	}
	// unknown flags do not come back
	m := withOPT(query("api.gslb.example.com", dns.TypeA), 1232, false)
	m.IsEdns0().SetZ(0x40)
	f(m, dns.RcodeSuccess, 0)
	// another version
	m = withOPT(query("api.gslb.example.com", dns.TypeA), 1232, false, &dns.EDNS0_LOCAL{Code: 65001})
	m.IsEdns0().SetVersion(1)
	f(m, dns.RcodeBadVers, 0)
	require.Empty(t, ask(t, from, m).Answer)
	require.False(t, ask(t, from, m).Authoritative)
	// refusals have one as well
	f(withOPT(query("example.com", dns.TypeA), 1232, false), dns.RcodeRefused, 0)
	f(withOPT(query("nobody.gslb.example.com", dns.TypeA), 1232, false), dns.RcodeNameError, 0)
}

func TestWhatDoesNotFitIsLeftToTCP(t *testing.T) {
	from := newTable(t, nil)
	f := func(m *dns.Msg, answers int, truncated bool) {
		t.Helper()
		got := ask(t, from, m)
		require.Equal(t, truncated, got.Truncated)
		require.Len(t, got.Answer, answers)
		require.True(t, got.Authoritative)
		require.Len(t, askTCP(t, from, m).Answer, 32)
		require.False(t, askTCP(t, from, m).Truncated)
	}
	f(query("big.gslb.example.com", dns.TypeA), 0, true)
	f(withOPT(query("big.gslb.example.com", dns.TypeA), 512, false), 0, true)
	f(withOPT(query("big.gslb.example.com", dns.TypeA), 561, false), 32, false)
	f(withOPT(query("big.gslb.example.com", dns.TypeA), 560, false), 0, true)
	f(withOPT(query("big.gslb.example.com", dns.TypeA), 1232, false), 32, false)
	f(withOPT(query("big.gslb.example.com", dns.TypeA), 65535, false), 32, false)
}

// Who is sent to TCP gets the same turn there that it would have had.
func TestWhatDoesNotFitTakesNoTurn(t *testing.T) {
	from := newTable(t, weights(5000, 5000))
	for _, want := range []string{"127.1.1.0", "127.2.1.0", "127.1.1.1"} {
		require.True(t, ask(t, from, query("big.gslb.example.com", dns.TypeA)).Truncated)
		require.Equal(t, want, ips(askTCP(t, from, query("big.gslb.example.com", dns.TypeA)))[0])
	}
}

// A query that is no query, or none that is answered. Each is a packet in hexadecimal.
func TestOddPackets(t *testing.T) {
	from := newTable(t, nil)
	const (
		name     = "03617069" + "0467736c62" + "076578616d706c65" + "03636f6d" + "00"
		question = name + "00010001"
		opt      = "00" + "0029" + "04d0" + "00000000" + "0000"
	)
	f := func(packet string, want string) {
		t.Helper()
		b, err := hex.DecodeString(packet)
		require.NoError(t, err)
		_, ok := from.fast(nil, b)
		require.False(t, ok)
		for _, udp := range []bool{true, false} {
			require.Equal(t, want, hex.EncodeToString(from.slow(b, udp)))
		}
	}
	// nothing, and less than a header
	f("", "")
	f("1234010000010000000000", "")
	// a response, whatever it says
	f("123480000001000000000000"+question, "")
	f("1234a8000001000000000000", "")
	// one question is announced, and none comes
	f("123401000001000000000000", "1234"+"8101"+"0000000000000000")
	// no question, two questions
	f("123400000000000000000000", "1234"+"8001"+"0000000000000000")
	f("123400000002000000000000"+question+question, "1234"+"8001"+"0000000000000000")
	// half a question, a name that ends nowhere, that points to itself, that is too long
	f("123400000001000000000000"+name, "1234"+"8001"+"0000000000000000")
	f("12340000000100000000000003617069", "1234"+"8001"+"0000000000000000")
	f("123400000001000000000000"+"c00c"+"00010001", "1234"+"8001"+"0000000000000000")
	f("123400000001000000000000"+strings.Repeat("3f"+strings.Repeat("61", 63), 4)+"00"+"00010001", "1234"+"8001"+"0000000000000000")
	// announced records that do not come
	f("123400000001000000000001"+question, "1234"+"8001"+"0000000000000000")
	f("12340000000100000000ffff"+question+opt, "1234"+"8001"+"0000000000000000")
	// two OPT records, one of another name, one with half an option
	f("123400000001000000000002"+question+opt+opt, "1234"+"8001"+"0000000000000000")
	f("123400000001000000000001"+question+"0161"+opt, "1234"+"8001"+"0000000000000000")
	f("123400000001000000000001"+question+"00"+"0029"+"04d0"+"00000000"+"0003"+"000a00", "1234"+"8001"+"0000000000000000")
	// other opcodes: IQUERY, STATUS, NOTIFY, UPDATE, one that nobody knows
	f("123408000001000000000000"+question, "1234"+"8804"+"0000000000000000")
	f("123410000001000000000000"+question, "1234"+"9004"+"0000000000000000")
	f("123424000001000000000000"+question, "1234"+"a004"+"0000000000000000")
	f("123428000001000000000000"+question, "1234"+"a804"+"0000000000000000")
	f("12347900000100000000000000", "1234"+"f904"+"0000000000000000")
}
