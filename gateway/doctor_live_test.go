package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lockkeeper/lockkeeper/xds"
)

// examined runs the doctor until it says all of want, and returns what it says.
func examined(t *testing.T, args []string, want ...string) (out string) {
	t.Helper()
	wait(t, fmt.Sprintf("the doctor to say %q", want), func() bool {
		_, stdout, stderr := call(t, append([]string{"doctor"}, args...)...)
		if said := stdout + stderr; said != out {
			out = said
			t.Log(out)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				return false
			}
		}
		return true
	})
	return out
}

// Each planted fault is named by the doctor, with its cure.
func TestDoctorFindsPlantedFaults(t *testing.T) {
	f := func(name string, plant func(t *testing.T, g *failoverGateway) (args []string), want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newFailoverGateway(t)
			examined(t, plant(t, g), append(want, "cure: ")...)
		})
	}
	// what else a gateway has besides the usual
	with := func(config string, arguments ...any) func(*testing.T, *failoverGateway) []string {
		return func(t *testing.T, g *failoverGateway) []string {
			g.start(t, "--config", writeFile(t, fmt.Sprintf(config, arguments...)))
			return []string{"--url", g.url("")}
		}
	}
	f("no gateway", func(_ *testing.T, g *failoverGateway) []string { return []string{"--url", g.url("")} },
		"error no_gateway: no gateway at", "lockkeeper doctor --config FILE")
	f("a mistake in the configuration", func(t *testing.T, g *failoverGateway) []string {
		return []string{"--url", g.url(""), "--config", writeFile(t, "extensions: {failover: {mod: act}, dns: {endpint: x}}")}
	}, "error config: ", "extensions::failover::mod: unknown key", "extensions::dns::endpint: unknown key")
	f("a port is taken", func(t *testing.T, g *failoverGateway) []string {
		l, err := net.Listen("tcp", g.console)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return []string{"--url", "http://" + g.dns, "--no-default", "--config", writeFile(t, bare), "--config", g.file}
	}, "error port_taken: ", "something else listens there by tcp", "or set another extensions::console::endpoint")
	f("not what is configured", func(t *testing.T, g *failoverGateway) []string {
		g.start(t)
		other := fmt.Sprintf("yaml:extensions::dns::endpoint: %q", freeAddress(t))
		return []string{"--url", g.url(""), "--no-default", "--config", writeFile(t, bare), "--config", g.file, "--config", other}
	}, "error not_listening: ", "extensions::dns::endpoint is configured, and nothing listens there", "reload the gateway")
	f("a binary that is not the pinned one", func(t *testing.T, g *failoverGateway) []string {
		directory := t.TempDir()
		rewrite(t, filepath.Join(directory, "notification-pager"), "another")
		_ = os.Chmod(filepath.Join(directory, "notification-pager"), 0o700)
		return []string{"--url", g.url(""), "--config", writeFile(t, fmt.Sprintf("extensions: {plugins: {directory: %q, processes: {pager: {kind: notification, sha256: %q}}}}",
			directory, strings.Repeat("0", 64)))}
	}, "error binary: pager: sha256 of", "`lockkeeper plugin verify`")
	f("a plugin is away, rules have no storage", with("extensions: {plugins: {processes: {rules: {kind: alerting, address: %q, tls: {insecure: true}}}}}", freeAddress(t)),
		"error rules: rules: rules are not evaluated", "error rules: rules: no rules are evaluated: no storage plugin for metrics", "`lockkeeper plugin logs rules` shows what it says")
	f("a queue fills", with(`
receivers: {probes: {flush_interval: 1s}}
exporters: {plugin/metrics: {plugin: store, sending_queue: {sizer: requests, queue_size: 4}}}
extensions: {plugins: {processes: {store: {kind: storage, address: %q, tls: {insecure: true}}}}}
service: {pipelines: {metrics: {exporters: [plugin/metrics]}}}
`, freeAddress(t)), "error queue: plugin/metrics: the queue of metrics for store is ", "% full, its oldest has waited", "exporters::plugin/metrics::sending_queue::queue_size", "error plugin: store: at ")
	f("an IDC that is not configured", with(`receivers: {probes: {targets: [{module: port, target: "127.0.0.1:1", subject: idc/idc9/entry, interval: 200ms}]}}`),
		`error probe_without_idc: idc/idc9/entry: is probed, and failover knows no IDC "idc9"`, "name it in extensions::failover::idcs")
	f("an IDC that nobody probes", with("extensions: {failover: {idcs: {idc1: {weight: 40}, idc3: {weight: 10}}}}"),
		"warn  no_verdict: idc/idc3/entry: nothing probes it", "subject: idc/idc3/entry} to receivers::probes::targets")
	f("only observed", func(t *testing.T, g *failoverGateway) []string {
		g.idcs[0].die()
		return with("extensions: {failover: {mode: observe}}")(t, g)
	}, "warn  observe: ", "weights of idc1", "set extensions::failover::mode: act")
	f("a probe that this machine hinders", with(`
receivers: {probes: {modules: {far: {prober: tcp, tcp: {source_ip_address: 192.0.2.9}}}, targets: [{module: far, target: "127.0.0.1:1", subject: machine/x, interval: 200ms}]}}`),
		"warn  probe_hindered: machine/x: it could not be made: ", "give this machine what it lacks")
	f("a state that cannot be read", func(t *testing.T, g *failoverGateway) []string {
		if err := os.Mkdir(filepath.Join(g.data, "failover"), 0o700); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(g.data, "failover", "state.json"), "half of it")
		return with("{}")(t, g)
	}, "error failover_state: its state is not on disk, or could not be read", "extensions::failover::data_directory")
	f("no telemetry", with("{receivers: {envoy: {endpoint: %q}, probes: {targets: [{module: port, target: \"192.0.2.1:1\", subject: machine/far}]}}, service: {pipelines: {metrics: {receivers: [envoy, probes]}}}}",
		freeAddress(t)), "error no_als: ", "error loopback: ", "and machine/far at 192.0.2.1:1 is elsewhere", "set receivers::envoy::endpoint to an address that the Envoys reach")
	f("clusters from elsewhere", plantForeign, "warn  locality_weights: node-1 (web): ", "give these clusters common_lb_config: {locality_weighted_lb_config: {}")
	f("a gateway with another key", plantKeys, "error gossip_key: ", "give all gateways the same cluster::keys")
	f("a gateway with other rules", plantCluster("extensions: {failover: {thresholds: {machine: {unhealthy: 9}}}}", false),
		"error failover_rules_differ: ", "make extensions::failover the same on all gateways")
	f("a gateway that is gone", plantCluster("{}", true), "warn  member_lost: tokyo: ", "start it; if it was taken away")
	f("gateways that disagree", func(t *testing.T, g *failoverGateway) []string {
		other := newFailoverGateway(t)
		with("extensions: {failover: {idcs: {idc1: {weight: 10}, idc2: {weight: 90}}}}")(t, other)
		return append(with("{}")(t, g), "--url", other.url(""))
	}, "error disagree: ", "says something else than the others: gives idc1")
}

// plantForeign has a client take the endpoints of a cluster and not the cluster, while the IDCs have different weights in the mesh.
func plantForeign(t *testing.T, g *failoverGateway) []string {
	serve := freeAddress(t)
	g.start(t, "--config", writeFile(t, fmt.Sprintf(`
extensions:
  failover: {idcs: {idc1: {weight: 10}, idc2: {weight: 90}}}
  xds: {endpoint: %q, sources: [{file: %q}]}
service: {extensions: [plugins, alerting, failover, dns, console, xds]}
`, serve, writeFile(t, `clusters: [{name: web, endpoints: [{address: "192.0.2.1:80", idc: idc1}, {address: "192.0.2.2:80", idc: idc2}]}]`))))
	conn, err := grpc.NewClient(serve, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context(), grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: "node-1"}, TypeUrl: xds.AssignmentType, ResourceNames: []string{"web"}}); err != nil {
		t.Fatal(err)
	}
	return []string{"--url", g.url("")}
}

// plantCluster starts two gateways of a cluster, the second with more configuration, and kills it when it is to be gone.
func plantCluster(more string, gone bool) func(*testing.T, *failoverGateway) []string {
	return func(t *testing.T, berlin *failoverGateway) []string {
		tokyo := startPair(t, berlin, more)
		if gone {
			examined(t, []string{"--url", berlin.url("")}, "2 of 2 gateways answer")
			tokyo.signal(t, syscall.SIGKILL)
			tokyo.exit(t)
		}
		return []string{"--url", berlin.url("")}
	}
}

func plantKeys(t *testing.T, berlin *failoverGateway) []string {
	startPair(t, berlin, "extensions: {cluster: {keys: [MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=]}}")
	return []string{"--url", berlin.url("")}
}

// startPair starts two gateways of a cluster and returns the second's process.
func startPair(t *testing.T, berlin *failoverGateway, more string) *process {
	t.Helper()
	tokyo := &failoverGateway{console: freeAddress(t), dns: freeAddress(t), data: t.TempDir(), idcs: berlin.idcs, machines: berlin.machines}
	tokyo.file = writeFile(t, tokyo.config())
	join := []string{freeAddress(t), freeAddress(t)}
	start := func(g *failoverGateway, name, endpoint, more string) *process {
		return g.start(t, "--config", writeFile(t, fmt.Sprintf(`
extensions:
  failover: {sites: {berlin: idc1, tokyo: idc2}}
  cluster: {name: %s, site: %s, endpoint: %q, join: [%q, %q], keys: [YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=]}
service: {extensions: [plugins, alerting, failover, dns, console, cluster]}
`, name, name, endpoint, join[0], join[1])), "--config", writeFile(t, more))
	}
	start(berlin, "berlin", join[0], "{}")
	return start(tokyo, "tokyo", join[1], more)
}

// Of gateways to which nothing is wrong nothing is said.
func TestDoctorOfHealthyGateways(t *testing.T) {
	berlin := newFailoverGateway(t)
	startPair(t, berlin, "{}")
	out := examined(t, []string{"--url", berlin.url("")}, "ok    cluster: 2 of 2 gateways answer", "ok    verdicts: ", "ok    dns: ", "ok    plugins: ")
	wait(t, "no finding", func() bool {
		code, stdout, _ := call(t, "doctor", "--url", berlin.url(""))
		out = stdout
		return code == 0 && !strings.Contains(stdout, "error ") && !strings.Contains(stdout, "warn ")
	})
	t.Log(out)
}

// minimally is before the glue that a parent has and tells only who asks for the name.
const minimally = "minimally: "

// parentZone is a DNS server of the zone example.com, which is its own resolver. It delegates gslb to name servers, or answers with a code alone.
func parentZone(t *testing.T, delegation ...string) (address string) {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	records := func(lines ...string) (all []dns.RR) {
		for _, line := range lines {
			record, err := dns.NewRR(line)
			if err != nil {
				t.Error(err)
			}
			all = append(all, record)
		}
		return all
	}
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		switch name := q.Question[0].Name; {
		case name == "example.com." && q.Question[0].Qtype == dns.TypeNS:
			a.Answer = records("example.com. 60 IN NS ns.example.com.")
		case name == "ns.example.com." && q.Question[0].Qtype == dns.TypeA:
			a.Answer = records("ns.example.com. 60 IN A 127.0.0.1")
		case name == "gslb.example.com." && q.Question[0].Qtype == dns.TypeSOA: // as its name server
			a.Authoritative = true
			a.Answer = records("gslb.example.com. 60 IN SOA ns1 root 1 1 1 1 1")
		case name == "gslb.example.com." && len(delegation) == 1:
			a.Rcode = dns.StringToRcode[delegation[0]]
		case name == "gslb.example.com." && len(delegation) > 0:
			a.Ns = records(delegation[:2]...)
			for _, line := range delegation[2:] {
				if !strings.HasPrefix(line, minimally) {
					a.Extra = append(a.Extra, records(line)...)
				}
			}
		default:
			a.Rcode = dns.RcodeNameError
			for _, line := range delegation {
				if glue, minimal := strings.CutPrefix(line, minimally+name); minimal {
					a.Rcode = dns.RcodeSuccess
					a.Extra = append(a.Extra, records(name+glue)...)
				}
			}
		}
		_ = w.WriteMsg(a)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = socket.Close(); <-done })
	return socket.LocalAddr().String()
}

// The doctor compares what the parent's servers say with the zone of a real gateway.
func TestDoctorOfDelegation(t *testing.T) {
	g := newFailoverGateway(t)
	g.start(t, "--config", writeFile(t, "extensions: {dns: {zones: {gslb.example.com: {ns: {ns1.gslb.example.com: 127.0.0.1, ns2.gslb.example.com: 192.0.2.53}}}}}"))
	look := func(resolver, server string) string {
		t.Helper()
		_, port, _ := net.SplitHostPort(server)
		d := doctor{resolver: resolver, dnsPort: port}
		d.examine(t.Context(), []*remote{{url: g.url("")}})
		var out strings.Builder
		_ = d.report(&out, false)
		return out.String()
	}
	f := func(want, cure string, delegation ...string) {
		t.Helper()
		parent := parentZone(t, delegation...)
		if out := look(parent, parent); !strings.Contains(out, want) || !strings.Contains(out, cure) {
			t.Errorf("no %q and %q in\n%s", want, cure, out)
		}
	}
	ns1, ns2 := "gslb.example.com. 60 IN NS ns1.gslb.example.com.", "gslb.example.com. 60 IN NS ns2.gslb.example.com."
	glue1, glue2 := "ns1.gslb.example.com. 60 IN A 127.0.0.1", "ns2.gslb.example.com. 60 IN A 192.0.2.53"
	// what it should be, but for a server that is away
	f("error name_server: ns2.gslb.example.com. 192.0.2.53: does not answer at port 53", "extensions::dns::endpoint listen there at port 53", ns1, ns2, glue1, glue2)
	f("error name_server: ns2.gslb.example.com. 192.0.2.53: does not answer at port 53", "", ns1, ns2, minimally+glue1, glue2)
	f("error name_server: ns2.gslb.example.com. 192.0.2.53: does not answer at port 53", "", ns1, ns2, minimally+glue1, minimally+glue2)
	f("error glue: ns2.gslb.example.com.: 127.0.0.1, a server of example.com., gives it the addresses [], and it has [192.0.2.53]", "", ns1, ns2, minimally+glue1)
	f("error delegation: gslb.example.com.: 127.0.0.1, a server of example.com., does not delegate it (NXDOMAIN)", "put into the zone example.com. NS records of gslb.example.com. to ns1.gslb.example.com.")
	f("skip  delegation: gslb.example.com.: could not be looked at: no server of example.com. answers: 127.0.0.1 answers REFUSED", "--resolver", "REFUSED")
	f("delegates it to ns1.gslb.example.com., ns3.example.com., and it has ns1.gslb.example.com., ns2.gslb.example.com.", "extensions::dns::zones::gslb.example.com::ns, the same",
		ns1, "gslb.example.com. 60 IN NS ns3.example.com.", glue1)
	f("error glue: ns2.gslb.example.com.: 127.0.0.1, a server of example.com., gives it the addresses [192.0.2.54], and it has [192.0.2.53]", "correct its address records (the glue)",
		ns1, ns2, glue1, "ns2.gslb.example.com. 60 IN A 192.0.2.54")
	if out := look("127.0.0.1:1", "127.0.0.1:1"); !strings.Contains(out, "skip  delegation: gslb.example.com.: could not be looked at: the resolver does not answer") {
		t.Error(out)
	}
}
