package dns

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

// addrs are addresses.
func addrs(texts ...string) (addresses []netip.Addr) {
	for _, text := range texts {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return addresses
}

// testZone has all that a zone can have.
func testZone() Zone {
	return Zone{
		Origin: "gslb.example.com", TTL: time.Hour, NegativeTTL: 5 * time.Second,
		NS: map[string][]netip.Addr{
			"ns1.gslb.example.com": addrs("127.1.0.53", "fd00::53"), "ns2.gslb.example.com": addrs("127.2.0.53"), "ns.example.net": nil,
		},
		Names: map[string]Name{
			"api":       name(5*time.Second, addrs("127.1.0.1", "fd00:1::1"), addrs("127.2.0.1", "fd00:2::1")),
			"all":       all(name(5*time.Second, addrs("127.1.0.1", "127.1.0.2"), addrs("127.2.0.1", "127.2.0.2"))),
			"many":      name(10*time.Second, addrs("127.1.0.1", "127.1.0.2", "127.1.0.3"), addrs("127.2.0.1")),
			"six":       name(5*time.Second, addrs("fd00:1::1"), addrs("fd00:2::1")),
			"only1":     name(time.Second, addrs("127.1.0.1")),
			"three":     name(5*time.Second, addrs("127.1.0.1"), addrs("127.2.0.1"), addrs("127.3.0.1")),
			"deep.in.a": name(5*time.Second, addrs("127.1.0.1"), addrs("127.2.0.1")),
			"big":       all(name(5*time.Second, sequence("127.1.1.0", 16), sequence("127.2.1.0", 16))),
		},
	}
}

// name has these addresses in idc1, idc2 and so on.
func name(ttl time.Duration, addresses ...[]netip.Addr) Name {
	n := Name{TTL: ttl, IDCs: map[string][]netip.Addr{}}
	for i, own := range addresses {
		n.IDCs[fmt.Sprint("idc", i+1)] = own
	}
	return n
}

func all(n Name) Name {
	n.All = true
	return n
}

func sequence(from string, count int) (addresses []netip.Addr) {
	for a := netip.MustParseAddr(from); len(addresses) < count; a = a.Next() {
		addresses = append(addresses, a)
	}
	return addresses
}

// weights is a Serving of two IDCs.
func weights(idc1, idc2 uint32) *xds.Serving {
	return &xds.Serving{Version: 7, IDCs: map[string]xds.IDC{"idc1": {Entry: idc1, Why: "base weight"}, "idc2": {Entry: idc2, Why: "base weight"}}}
}

func newTable(t testing.TB, serving *xds.Serving) *table {
	t.Helper()
	return newTables(t)(serving)
}

// newTables makes one table after the other.
func newTables(t testing.TB) func(*xds.Serving) *table {
	t.Helper()
	zones := []Zone{testZone()}
	require.NoError(t, check(zones))
	var before *table
	return func(serving *xds.Serving) *table {
		t.Helper()
		made, err := compile(zones, serving, 42, before)
		require.NoError(t, err)
		before = made
		return made
	}
}

// query is a query as a resolver sends it: without EDNS.
func query(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	m.Id, m.RecursionDesired = 4711, false
	return m
}

// ask asks over UDP, as the server does: fast, and slow if it is a case for it.
func ask(t testing.TB, from *table, m *dns.Msg) *dns.Msg {
	t.Helper()
	b, err := m.Pack()
	require.NoError(t, err)
	answer, ok := from.fast(nil, b)
	if !ok {
		answer = from.slow(b, true)
	}
	return read(t, answer)
}

func askTCP(t testing.TB, from *table, m *dns.Msg) *dns.Msg {
	t.Helper()
	b, err := m.Pack()
	require.NoError(t, err)
	return read(t, from.slow(b, false))
}

func read(t testing.TB, answer []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	require.NoError(t, m.Unpack(answer))
	require.True(t, m.Response)
	require.False(t, m.RecursionAvailable || m.AuthenticatedData || m.CheckingDisabled || m.Zero)
	return m
}

// ips are the addresses of an answer.
func ips(m *dns.Msg) (texts []string) {
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			texts = append(texts, rr.A.String())
		case *dns.AAAA:
			texts = append(texts, rr.AAAA.String())
		}
	}
	return texts
}

func TestWeights(t *testing.T) {
	f := func(serving *xds.Serving, name string, kind uint16, want map[string]int) {
		t.Helper()
		from, got := newTable(t, serving), map[string]int{}
		for range 10_000 {
			m := ask(t, from, query(name, kind))
			require.Len(t, m.Answer, 1)
			got[ips(m)[0]]++
		}
		require.Equal(t, want, got)
	}
	const api, three = "api.gslb.example.com", "three.gslb.example.com"
	// equal weights
	f(weights(5000, 5000), api, dns.TypeA, map[string]int{"127.1.0.1": 5000, "127.2.0.1": 5000})
	// both kinds of records
	f(weights(5000, 5000), api, dns.TypeAAAA, map[string]int{"fd00:1::1": 5000, "fd00:2::1": 5000})
	// a canary
	f(weights(9900, 100), api, dns.TypeA, map[string]int{"127.1.0.1": 9900, "127.2.0.1": 100})
	// the least there is
	f(weights(1, 9999), api, dns.TypeA, map[string]int{"127.1.0.1": 1, "127.2.0.1": 9999})
	// an odd ratio
	f(weights(3333, 6667), api, dns.TypeA, map[string]int{"127.1.0.1": 3333, "127.2.0.1": 6667})
	// one IDC is out
	f(weights(0, 10_000), api, dns.TypeA, map[string]int{"127.2.0.1": 10_000})
	// nothing is known of IDCs
	f(nil, api, dns.TypeA, map[string]int{"127.1.0.1": 5000, "127.2.0.1": 5000})
	// nobody has a weight: something is answered all the same
	f(weights(0, 0), api, dns.TypeA, map[string]int{"127.1.0.1": 5000, "127.2.0.1": 5000})
	// the only IDC of the name has no weight
	f(weights(0, 10_000), "only1.gslb.example.com", dns.TypeA, map[string]int{"127.1.0.1": 10_000})
	// an IDC that Serving does not know is not answered
	f(weights(2500, 7500), three, dns.TypeA, map[string]int{"127.1.0.1": 2500, "127.2.0.1": 7500})
	// the name lacks an IDC: the ratio of the others stays
	f(&xds.Serving{IDCs: map[string]xds.IDC{"idc1": {Entry: 2000}, "idc2": {Entry: 6000}, "idc4": {Entry: 2000}}}, api, dns.TypeA,
		map[string]int{"127.1.0.1": 2500, "127.2.0.1": 7500})
	// the addresses of an IDC share its answers
	f(weights(6000, 4000), "many.gslb.example.com", dns.TypeA,
		map[string]int{"127.1.0.1": 2000, "127.1.0.2": 2000, "127.1.0.3": 2000, "127.2.0.1": 4000})
	// weights that nobody should hand out
	f(weights(4_000_000_000, 4_000_000_000), api, dns.TypeA, map[string]int{"127.1.0.1": 5000, "127.2.0.1": 5000})
}

func TestEqualWeightsAlternate(t *testing.T) {
	from := newTable(t, weights(5000, 5000))
	// Whoever asks for A and AAAA by turns, or for other names between, gets both IDCs of each.
	for range 100 {
		require.Equal(t, []string{"127.1.0.1"}, ips(ask(t, from, query("api.gslb.example.com", dns.TypeA))))
		require.Equal(t, []string{"fd00:1::1"}, ips(ask(t, from, query("api.gslb.example.com", dns.TypeAAAA))))
		require.Equal(t, []string{"127.1.0.1"}, ips(ask(t, from, query("deep.in.a.gslb.example.com", dns.TypeA))))
		require.Equal(t, []string{"127.2.0.1"}, ips(askTCP(t, from, query("api.gslb.example.com", dns.TypeA))))
		require.Equal(t, []string{"fd00:2::1"}, ips(ask(t, from, query("API.gslb.example.com", dns.TypeAAAA))))
		require.Equal(t, []string{"127.2.0.1"}, ips(ask(t, from, query("deep.in.a.gslb.example.com", dns.TypeA))))
	}
}

func TestTurnsGoOnInTheNextTable(t *testing.T) {
	next, got := newTables(t), map[string]int{}
	from := next(weights(9900, 100))
	for range 1000 {
		got[ips(ask(t, from, query("api.gslb.example.com", dns.TypeA)))[0]]++
		from = next(weights(9900, 100))
	}
	require.Equal(t, map[string]int{"127.1.0.1": 990, "127.2.0.1": 10}, got)
	counted := map[string]uint64{}
	for c := range from.counts() {
		if c.name == "api.gslb.example.com." && c.kind == "A" {
			counted[c.idc] = c.answers
		}
	}
	require.Equal(t, map[string]uint64{"idc1": 990, "idc2": 10}, counted)
}

// Several sockets answer at a time, while tables are swapped: the turns are still those of one name.
func TestTurnsAreSharedByAll(t *testing.T) {
	next := newTables(t)
	var now atomic.Pointer[table]
	now.Store(next(weights(9900, 100)))
	packet, err := query("api.gslb.example.com", dns.TypeA).Pack()
	require.NoError(t, err)
	var sockets sync.WaitGroup
	var canary atomic.Int64
	for range 4 {
		sockets.Go(func() {
			dst := make([]byte, 0, maxUDP)
			for range 2500 {
				if answer, ok := now.Load().fast(dst, packet); ok && answer[len(answer)-3] == 2 {
					canary.Add(1)
				}
			}
		})
	}
	for range 20 {
		now.Store(next(weights(9900, 100)))
	}
	sockets.Wait()
	require.Equal(t, int64(100), canary.Load())
}

func TestAllAddresses(t *testing.T) {
	f := func(serving *xds.Serving, want ...[]string) {
		t.Helper()
		from := newTable(t, serving)
		for _, one := range want {
			require.Equal(t, one, ips(ask(t, from, query("all.gslb.example.com", dns.TypeA))))
		}
	}
	// while the weights are equal: of all IDCs, each first in turns
	f(weights(5000, 5000), []string{"127.1.0.1", "127.1.0.2", "127.2.0.1", "127.2.0.2"}, []string{"127.2.0.1", "127.2.0.2", "127.1.0.1", "127.1.0.2"},
		[]string{"127.1.0.2", "127.1.0.1", "127.2.0.2", "127.2.0.1"}, []string{"127.2.0.2", "127.2.0.1", "127.1.0.2", "127.1.0.1"})
	// else: of one IDC
	f(weights(2500, 7500), []string{"127.2.0.1", "127.2.0.2"}, []string{"127.1.0.1", "127.1.0.2"}, []string{"127.2.0.2", "127.2.0.1"},
		[]string{"127.2.0.1", "127.2.0.2"})
	// an IDC without weight is never among them
	f(weights(10_000, 0), []string{"127.1.0.1", "127.1.0.2"}, []string{"127.1.0.2", "127.1.0.1"}, []string{"127.1.0.1", "127.1.0.2"})
}

func TestTTL(t *testing.T) {
	f := func(name string, degraded bool, want uint32) {
		t.Helper()
		serving := weights(5000, 5000)
		serving.Degraded = degraded
		require.Equal(t, want, ask(t, newTable(t, serving), query(name, dns.TypeA)).Answer[0].Header().Ttl)
	}
	f("api.gslb.example.com", false, 5)
	f("api.gslb.example.com", true, 2)
	f("many.gslb.example.com", true, 5)
	f("only1.gslb.example.com", true, 1)
	f("ns1.gslb.example.com", true, 3600)
}

func TestUnknownIDCsAreTold(t *testing.T) {
	from := newTable(t, weights(5000, 5000))
	require.Equal(t, []string{"idc3"}, from.unknown)
	require.Empty(t, from.weightless)
	require.Empty(t, newTable(t, nil).unknown)
	from = newTable(t, weights(10_000, 0))
	require.Empty(t, from.weightless)
	from = newTable(t, weights(0, 10_000))
	require.Equal(t, []string{"only1.gslb.example.com. A"}, from.weightless)
}

func TestAnswersTellsWhatIsServed(t *testing.T) {
	f := func(serving *xds.Serving, name string, kind uint16, known bool, want ...string) {
		t.Helper()
		got, k := newTable(t, serving).answers(name, kind)
		require.Equal(t, known, k)
		require.Equal(t, addrs(want...), got)
	}
	f(weights(5000, 5000), "API.gslb.example.com", dns.TypeA, true, "127.1.0.1", "127.2.0.1")
	f(weights(0, 10_000), "api.gslb.example.com.", dns.TypeAAAA, true, "fd00:2::1")
	f(nil, "six.gslb.example.com", dns.TypeA, true)
	f(nil, "nobody.gslb.example.com", dns.TypeA, false)
	f(nil, "api.example.com", dns.TypeA, false)
	f(nil, "not..a.name", dns.TypeA, false)
}
