package real

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// startUnbound starts unbound as a resolver that asks the server about the zone, with 0x20 and a buffer that many addresses do not fit.
func startUnbound(t testing.TB, server netip.AddrPort, more string) netip.AddrPort {
	t.Helper()
	stub := fmt.Sprintf("\nstub-zone:\n\tname: %q\n\tstub-addr: %s@%d\n", zone, server.Addr(), server.Port())
	address, unbound := runUnbound(t, more+stub)
	unbound.answers(t, address, "n0."+zone+".")
	return address
}

// runUnbound starts unbound with more of the section server, and sections after it.
func runUnbound(t testing.TB, more string) (netip.AddrPort, *process) {
	t.Helper()
	program := tool(t, "resolvers", aptResolvers, "unbound")
	directory := t.TempDir()
	address := netip.AddrPortFrom(loopback(5), freePort(t, loopback(5)))
	config := write(t, directory, "unbound.conf", fmt.Sprintf(`
server:
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	interface: %s@%d
	do-ip6: no
	do-not-query-localhost: no
	module-config: "iterator"
	num-threads: 1
	use-caps-for-id: yes
	edns-buffer-size: 512
	%s
remote-control:
	control-enable: no
`, directory, address.Addr(), address.Port(), more))
	return address, start(t, directory, program, "-d", "-p", "-c", config)
}

// startBIND starts BIND as a resolver. It asks other servers at the port at which it answers itself.
func startBIND(t testing.TB, server netip.AddrPort) netip.AddrPort {
	t.Helper()
	program := tool(t, "resolvers", aptResolvers, "named")
	directory := t.TempDir()
	address := netip.AddrPortFrom(localhost(), server.Port())
	config := write(t, directory, "named.conf", fmt.Sprintf(`
options { %s port %d; recursion yes; allow-query { any; }; edns-udp-size 512; };
controls {};
zone "." { type hint; file "/dev/null"; };
zone %q { type static-stub; server-addresses { %s; }; };
`, namedOptions(directory), address.Port(), zone, server.Addr()))
	start(t, directory, program, "-g", "-n", "1", "-c", config).answers(t, address, "n0."+zone+".")
	return address
}

// startKnot starts Knot Resolver.
func startKnot(t testing.TB, server netip.AddrPort) netip.AddrPort {
	t.Helper()
	program := tool(t, "resolvers", aptResolvers, "kresd")
	directory := t.TempDir()
	address := netip.AddrPortFrom(loopback(6), freePort(t, loopback(6)))
	config := write(t, directory, "kresd.conf", fmt.Sprintf(`
net.ipv6 = false
net.listen('%s', %d, { kind = 'dns' })
net.bufsize(512)
trust_anchors.remove('.')
cache.open(10 * MB, 'lmdb://%s/cache')
policy.add(policy.suffix(policy.STUB('%s@%d'), policy.todnames({'%s'})))
`, address.Addr(), address.Port(), directory, server.Addr(), server.Port(), zone))
	start(t, directory, program, "-n", "-c", config, directory).answers(t, address, "n0."+zone+".")
	return address
}

// ask asks a server or resolver by UDP, and by TCP where the response is truncated.
func ask(t testing.TB, address netip.AddrPort, name string, qtype uint16) *dns.Msg {
	t.Helper()
	query := new(dns.Msg).SetQuestion(name+"."+zone+".", qtype)
	client := dns.Client{Timeout: 5 * time.Second}
	response, _, err := client.Exchange(query, address.String())
	if err == nil && response.Truncated {
		client.Net = "tcp"
		response, _, err = client.Exchange(query, address.String())
	}
	if err != nil {
		t.Fatalf("%s: %v", query.Question[0].String(), err)
	}
	return response
}

// addresses are those in an answer, sorted.
func addresses(response *dns.Msg) (all []string) {
	for _, record := range response.Answer {
		switch record := record.(type) {
		case *dns.A:
			all = append(all, record.A.String())
		case *dns.AAAA:
			all = append(all, record.AAAA.String())
		}
	}
	slices.Sort(all)
	return all
}
