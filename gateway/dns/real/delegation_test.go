package real

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// TestDelegation has a resolver find two of our servers from the root, as gateway/dns/DELEGATION.md delegates to them, and one of them die.
func TestDelegation(t *testing.T) {
	first, second := netip.AddrPortFrom(loopback(1), 53), netip.AddrPortFrom(loopback(8), 53)
	root := netip.AddrPortFrom(localhost(), 53)
	for _, address := range []netip.AddrPort{first, second, root} {
		if !isFree(address) {
			lacks(t, "resolvers", fmt.Sprintf("needs %s: resolvers ask at port 53, at which only root may listen, and nothing else may here", address))
		}
	}
	names := strings.Join([]string{both("n0", "1s"), both("n1", "1s"), both("n2", "1s")}, ", ")
	one := startAt(t, first, names)
	startAt(t, second, names)
	startRoot(t, root)
	hints := write(t, t.TempDir(), "hints", ". 3600 NS a.root.\na.root. 3600 A "+root.Addr().String()+"\n")
	unbound, process := runUnbound(t, fmt.Sprintf("root-hints: %q", hints))
	process.answers(t, unbound, "n0."+zone+".")
	require.Len(t, addresses(ask(t, unbound, "n0", dns.TypeAAAA)), 1)
	one.stop()
	for _, name := range []string{"n1", "n2"} { // new to the resolver
		require.Len(t, addresses(ask(t, unbound, name, dns.TypeA)), 1, "one server of two has died")
	}
}

// startRoot starts BIND as a root that delegates our zone.
func startRoot(t *testing.T, address netip.AddrPort) {
	t.Helper()
	program := tool(t, "resolvers", aptResolvers, "named")
	directory := t.TempDir()
	file := write(t, directory, "root", fmt.Sprintf(`$TTL 3600
. SOA a.root. hostmaster.root. 1 7200 1800 259200 5
. NS a.root.
a.root. A %s
there. A 192.0.2.3
%s. NS ns1.%s.
%s. NS ns2.%s.
ns1.%s. A %s
ns2.%s. A %s
`, address.Addr(), zone, zone, zone, zone, zone, loopback(1), zone, loopback(8)))
	config := write(t, directory, "named.conf", fmt.Sprintf(`
options { %s port %d; recursion no; notify no; };
controls {};
zone "." { type primary; file %q; };
`, namedOptions(directory), address.Port(), file))
	start(t, directory, program, "-g", "-n", "1", "-c", config).answers(t, address, "there.")
}
