package real

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

// both is a name with an address in each IDC.
func both(name, ttl string) string {
	return fmt.Sprintf("%s: {ttl: %s, idcs: {idc1: [%q, %q], idc2: [%q, %q]}}", name, ttl, idc1v4, idc1v6, idc2v4, idc2v6)
}

// TestShares holds the shares that clients really get, over all of the server's sockets: a client has many ports, and the kernel spreads those.
func TestShares(t *testing.T) {
	server := startHere(t, both("n0", "1s"))
	f := func(weight uint32, queries int, within float64) {
		t.Helper()
		server.serve(weight)
		wantShare(t, server.address, weight, queries, within)
	}
	// alternation
	f(5_000, 10_000, 0.01)
	// a canary
	f(100, 100_000, 0.001)
	f(9_900, 10_000, 0.001)
	// all or nothing
	f(0, 10_000, 0)
	f(10_000, 10_000, 0)
}

// TestSharesThroughUnbound asks a resolver that keeps nothing.
func TestSharesThroughUnbound(t *testing.T) {
	server := startHere(t, both("n0", "1s"))
	unbound := startUnbound(t, server.address, "cache-max-ttl: 0\n\tcache-max-negative-ttl: 0")
	f := func(weight uint32, queries int, within float64) {
		t.Helper()
		server.serve(weight)
		wantShare(t, unbound, weight, queries, within)
	}
	f(5_000, 10_000, 0.01)
	f(100, 10_000, 0.002)
	f(10_000, 1_000, 0)
}

func wantShare(t *testing.T, server netip.AddrPort, weight uint32, queries int, within float64) {
	t.Helper()
	got, want := share(t, server, queries), float64(weight)/xds.Whole
	t.Logf("want %.2f %% of %d answers, got %.3f %%", want*100, queries, got*100)
	if math.Abs(got-want) > within {
		t.Errorf("want %.2f %% ± %.2f of %d answers, got %.3f %%", want*100, within*100, queries, got*100)
	}
}

// share asks for n0, one query after the other from 16 ports in turn, and returns what part of the answers is IDC 1.
func share(t testing.TB, server netip.AddrPort, queries int) float64 {
	t.Helper()
	var ports [16]*dns.Conn
	for i := range ports {
		conn, err := net.Dial("udp", server.String())
		require.NoError(t, err)
		defer conn.Close()
		ports[i] = &dns.Conn{Conn: conn}
	}
	query := new(dns.Msg).SetQuestion("n0."+zone+".", dns.TypeA)
	got := map[string]int{}
	for i := range queries {
		query.Id = uint16(i)
		conn := ports[i%len(ports)]
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		require.NoError(t, conn.WriteMsg(query))
		response, err := conn.ReadMsg()
		require.NoError(t, err)
		require.Len(t, response.Answer, 1, response)
		got[addresses(response)[0]]++
	}
	return float64(got[idc1v4]) / float64(queries)
}
