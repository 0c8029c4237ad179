package real

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// zone is what every server here is asked about. Its names are n0, n1 and so on, each with an address of each IDC in turn.
const zone = "gslb.example.com"

const ttl = 5 // seconds: gdnsd takes no less

const (
	aptGdnsd     = "apt-get install gdnsd"
	aptDNSPerf   = "apt-get install dnsperf"
	aptResolvers = "apt-get install unbound bind9 knot-resolver"
)

// The addresses of every name, an IPv4 and an IPv6 of each IDC.
const (
	idc1v4, idc2v4 = "192.0.2.1", "192.0.2.2"
	idc1v6, idc2v6 = "2001:db8::1", "2001:db8::2"
)

// authority is a process that answers for the zone.
type authority struct {
	program string
	address netip.AddrPort
	pid     int
}

// begin starts an authoritative server and waits for its first answer.
func begin(t testing.TB, address netip.AddrPort, directory, program string, args ...string) authority {
	t.Helper()
	p := start(t, directory, program, args...)
	p.answers(t, address, "n0."+zone+".")
	return authority{program, address, p.cmd.Process.Pid}
}

// startLockkeeper starts the built gateway with nothing but the DNS server. What it serves is that nothing is known: all IDCs alike.
func startLockkeeper(t testing.TB, names int) authority {
	t.Helper()
	return startGateway(t, "dns", lockkeeperZone(names), "")
}

// startGateway starts the built gateway with these extensions, this zone, and the settings of other extensions.
func startGateway(t testing.TB, extensions, zone, settings string) authority {
	t.Helper()
	binary := tool(t, "build", "make build", "../../../bin/lockkeeper")
	directory := t.TempDir()
	address := netip.AddrPortFrom(loopback(1), freePort(t, loopback(1)))
	other := netip.AddrPortFrom(loopback(1), freePort(t, loopback(1)))
	config := write(t, directory, "lockkeeper.yaml", fmt.Sprintf(`
receivers: {otlp: {protocols: {grpc: {endpoint: %q}}}}
exporters: {debug: {}}
extensions:
  dns: {endpoint: %q, zones: {%s}}%s
service:
  extensions: [%s]
  telemetry: {metrics: {level: none}}
  pipelines: {metrics: {receivers: [otlp], exporters: [debug]}}
`, other, address, zone, settings, extensions))
	return begin(t, address, directory, binary, "run", "--no-default", "--config", config)
}

// lockkeeperZone is an entry of zones in the configuration of the extension dns.
func lockkeeperZone(names int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: {ns: {ns1.%s: 127.1.0.53, ns2.%s: 127.2.0.53}, names: {", zone, zone, zone)
	for i := range names {
		fmt.Fprintf(&text, "n%d: {ttl: %ds, idcs: {idc1: [%q, %q], idc2: [%q, %q]}}, ", i, ttl, idc1v4, idc1v6, idc2v4, idc2v6)
	}
	return text.String() + "}}"
}

// startGdnsd starts gdnsd with its plugin weighted.
func startGdnsd(t testing.TB, names int) authority {
	t.Helper()
	program := tool(t, "gdnsd", aptGdnsd, "gdnsd")
	directory := t.TempDir()
	address := netip.AddrPortFrom(loopback(2), freePort(t, loopback(2)))
	var resources, records strings.Builder
	for i := range names {
		fmt.Fprintf(&resources, "n%d => { idc1 => [%s, 50], idc2 => [%s, 50] }\n", i, idc1v4, idc2v4)
		fmt.Fprintf(&records, "n%d %d DYNA weighted!n%d\n", i, ttl, i)
	}
	write(t, directory, "config", fmt.Sprintf(`
options => { listen => "%s", run_dir => %q, state_dir => %q }
plugins => { weighted => { %s } }
`, address, directory+"/run", directory+"/state", resources.String()))
	write(t, directory, "zones/"+zone, zoneHead()+records.String())
	return begin(t, address, directory, program, "-c", directory, "start")
}

// namedOptions keep BIND in its directory and at the one loopback address that it finds: it listens only where an interface says so.
func namedOptions(directory string) string {
	return fmt.Sprintf(`directory %q; pid-file none; session-keyfile none; dnssec-validation no; listen-on { %s; }; listen-on-v6 { none; };`, directory, localhost())
}

// startNamed starts BIND as an authoritative server.
func startNamed(t testing.TB) authority {
	t.Helper()
	program := tool(t, "resolvers", aptResolvers, "named")
	directory := t.TempDir()
	address := netip.AddrPortFrom(localhost(), freePort(t, localhost()))
	file := write(t, directory, "zone", zoneHead()+zoneNames(1))
	config := write(t, directory, "named.conf", fmt.Sprintf(`
options { %s port %d; recursion no; notify no; };
controls {};
zone %q { type primary; file %q; };
`, namedOptions(directory), address.Port(), zone, file))
	return begin(t, address, directory, program, "-g", "-n", "1", "-c", config)
}

// startCoreDNS starts CoreDNS with its plugins file and loadbalance weighted.
func startCoreDNS(t testing.TB, names int) authority {
	t.Helper()
	program := tool(t, "coredns", "make coredns", "../../../.cache/tools/coredns")
	directory := t.TempDir()
	address := netip.AddrPortFrom(loopback(4), freePort(t, loopback(4)))
	var weights strings.Builder
	for i := range names {
		fmt.Fprintf(&weights, "n%d.%s\n%s 50\n%s 50\n", i, zone, idc1v4, idc2v4)
	}
	config := write(t, directory, "Corefile", fmt.Sprintf(`%s:%d {
	bind %s
	loadbalance weighted %s
	file %s
}
`, zone, address.Port(), address.Addr(), write(t, directory, "weights", weights.String()),
		write(t, directory, "zone", zoneHead()+zoneNames(names))))
	return begin(t, address, directory, program, "-conf", config)
}

func zoneHead() string {
	return fmt.Sprintf("$ORIGIN %s.\n$TTL %d\n@ SOA ns1 hostmaster 1 7200 1800 259200 5\n@ NS ns1\n@ NS ns2\nns1 A 127.1.0.53\nns2 A 127.2.0.53\n", zone, ttl)
}

func zoneNames(names int) string {
	var text strings.Builder
	for i := range names {
		fmt.Fprintf(&text, "n%d A %s\nn%d A %s\n", i, idc1v4, i, idc2v4)
	}
	return text.String()
}
