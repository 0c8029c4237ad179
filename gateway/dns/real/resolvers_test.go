package real

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// manyAddresses, which are as many as a name may have, do not fit the 512 bytes that the resolvers here take by UDP: they come back by TCP.
const manyAddresses = 32

// TestResolvers resolves by the programs by which the world resolves.
func TestResolvers(t *testing.T) {
	f := func(name string, start func(testing.TB, netip.AddrPort) netip.AddrPort) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startHere(t, strings.Join([]string{both("n0", "1s"), both("Api", "30s"), both("moved", "2s"), many()}, ", "))
			resolver := start(t, server.address)
			t.Run("addresses", func(t *testing.T) { resolvesAddresses(t, resolver) })
			t.Run("nothing there", func(t *testing.T) { resolvesNothing(t, resolver) })
			t.Run("TCP", func(t *testing.T) { resolvesMany(t, resolver) })
			t.Run("shift", func(t *testing.T) { followsShift(t, server, resolver) })
		})
	}
	f("unbound", func(t testing.TB, server netip.AddrPort) netip.AddrPort { return startUnbound(t, server, "") })
	f("BIND", startBIND)
	f("Knot Resolver", startKnot)
}

func many() string {
	var idcs [2][]string
	for i := range manyAddresses {
		idcs[i%2] = append(idcs[i%2], fmt.Sprintf("198.51.100.%d", i))
	}
	return fmt.Sprintf("many: {ttl: 30s, answer: all, idcs: {idc1: [%s], idc2: [%s]}}", strings.Join(idcs[0], ", "), strings.Join(idcs[1], ", "))
}

// resolvesAddresses holds that a name has its addresses however it is written, and that the resolver keeps them for no longer than it may.
func resolvesAddresses(t *testing.T, resolver netip.AddrPort) {
	v4, v6 := ask(t, resolver, "api", dns.TypeA), ask(t, resolver, "aPI", dns.TypeAAAA)
	require.Len(t, v4.Answer, 1, v4)
	require.Len(t, v6.Answer, 1, v6)
	require.Contains(t, []string{idc1v4, idc2v4}, addresses(v4)[0])
	require.Contains(t, []string{idc1v6, idc2v6}, addresses(v6)[0])
	again := ask(t, resolver, "API", dns.TypeA)
	require.Equal(t, addresses(v4), addresses(again), "the resolver keeps the answer for its TTL")
	for _, response := range []*dns.Msg{v4, v6, again} {
		require.LessOrEqual(t, response.Answer[0].Header().Ttl, uint32(30))
		require.GreaterOrEqual(t, response.Answer[0].Header().Ttl, uint32(10))
	}
}

// resolvesNothing holds that what is not there is not there, with the SOA record that tells how long to remember it.
func resolvesNothing(t *testing.T, resolver netip.AddrPort) {
	none, missing := ask(t, resolver, "api", dns.TypeTXT), ask(t, resolver, "missing", dns.TypeA)
	require.Equal(t, dns.RcodeSuccess, none.Rcode, none)
	require.Equal(t, dns.RcodeNameError, missing.Rcode, missing)
	for _, response := range []*dns.Msg{none, missing} {
		require.Empty(t, response.Answer, response)
		require.Len(t, response.Ns, 1, response)
		require.IsType(t, &dns.SOA{}, response.Ns[0])
	}
}

func resolvesMany(t *testing.T, resolver netip.AddrPort) {
	response := ask(t, resolver, "many", dns.TypeA)
	require.Len(t, slices.Compact(addresses(response)), manyAddresses, response)
}

// followsShift holds that all traffic of a resolver's clients moves when its answer has expired. Knot Resolver keeps every answer for five seconds.
func followsShift(t *testing.T, server *here, resolver netip.AddrPort) {
	server.serve(10_000)
	moved := func(to string) func() bool {
		return func() bool { return slices.Equal(addresses(ask(t, resolver, "moved", dns.TypeA)), []string{to}) }
	}
	wait(t, "the address of IDC 1", moved(idc1v4))
	begin := time.Now()
	server.serve(0)
	wait(t, "the address of IDC 2", moved(idc2v4))
	t.Logf("moved after %v at a TTL of 2 s", time.Since(begin).Round(100*time.Millisecond))
	for range 20 {
		require.Equal(t, []string{idc2v4}, addresses(ask(t, resolver, "moved", dns.TypeA)))
	}
}
