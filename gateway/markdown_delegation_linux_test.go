package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// The checks of DELEGATION.md, run as they stand there, find two gateways with its configuration, and a parent zone with its records.
func TestDelegation(t *testing.T) {
	if _, err := exec.LookPath("dig"); err != nil {
		lacks(t, "dig", "needs dig: apt-get install bind9-dnsutils")
	}
	plugins := needsPlugins(t)
	if !inOwnNetwork(t) {
		return
	}
	serveParent(t, delegatingRecords(t))
	config := writeFile(t, delegation(t, "extensions:\n"))
	gossip := freeAddress(t)
	for i, address := range []string{"192.0.2.53", "198.51.100.53"} {
		ip(t, "addr add "+address+"/32 dev lo")
		a := freeAddresses(t)
		if i == 0 {
			a.console = "localhost:7070"
		}
		startRun(t, "--config", a.config(t, plugins), "--config", config, "--config", writeFile(t, fmt.Sprintf(`
extensions:
  dns: {endpoint: "%s:53"} # the page's has the whole machine
  failover: {idcs: {idc1: {weight: 50}, idc2: {weight: 50}}, sites: {site1: idc1, site2: idc2}}
  cluster: {name: gateway%d, site: site%[2]d, endpoint: %q, join: [%q]}
service: {extensions: [file_storage, plugins, alerting, console, failover, dns, cluster]}
`, address, i+1, []string{gossip, freeAddress(t)}[i], gossip))).expect(t, "Lockkeeper is ready")
	}
	bin := t.TempDir()
	link(t, os.Args[0], filepath.Join(bin, "lockkeeper"))
	run := func(line string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
		cmd.Env = append(os.Environ(), mainEnv+"=1", "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", line, out)
		return string(out)
	}
	lines := strings.Split(strings.TrimSpace(delegation(t, "dig +norec @192.0.2.53    gslb")), "\n")
	const authority = `AUTHORITY SECTION:\ngslb\.example\.com\.\s+\d+\s+IN\s+SOA`
	want := [][]string{
		{"status: NOERROR", "flags: qr aa;"},
		{"status: NOERROR", "flags: qr aa;"},
		{"status: NOERROR", "ANSWER: 1,"},
		{"status: NOERROR", "ANSWER: 1,", `\(TCP\)`},
		{"status: NOERROR", "ANSWER: 0,", authority},
		{"status: NXDOMAIN", authority},
		{"status: REFUSED"},
		{`gslb\.example\.com\.\s+3600\s+IN\s+NS\s+ns1\.gslb`, `api\.gslb\.example\.com\.\s+5\s+IN\s+A\s.*\n.*from (192\.0\.2\.53|198\.51\.100\.53)#53`},
		{`192\.0\.2\.1`, `198\.51\.100\.1`},
	}
	require.Len(t, lines, len(want), "what do the others find?")
	said := make([]string, len(lines))
	for i, line := range lines {
		said[i] = run(line)
		for _, pattern := range want[i] {
			require.Regexp(t, pattern, said[i], line)
		}
	}
	serial := regexp.MustCompile(`SOA\s+\S+ \S+ (\d+)`)
	wait(t, "the same serial from both", func() bool {
		return slices.Equal(serial.FindStringSubmatch(run(lines[0]))[1:], serial.FindStringSubmatch(run(lines[1]))[1:])
	})
	// one address; again: the other one
	address := regexp.MustCompile(`IN\s+A\s+(\d\S+)`)
	require.NotEqual(t, address.FindStringSubmatch(run(lines[2]))[1], address.FindStringSubmatch(run(lines[2]))[1])
}

// serveParent is the system's resolver, the root and all zones below it, with records of a delegation.
func serveParent(t *testing.T, records []dns.RR) {
	t.Helper()
	resolver := "127.0.0.1"
	if system, err := dns.ClientConfigFromFile("/etc/resolv.conf"); err == nil && len(system.Servers) > 0 {
		resolver = system.Servers[0]
	}
	if at := net.ParseIP(resolver); !at.IsLoopback() {
		ip(t, "addr add "+resolver+" dev lo")
	}
	root := []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 3600}, Ns: "root.test."}}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		switch name := q.Question[0].Name; {
		case name == ".":
			a.Answer = root
		case name == "root.test." && q.Question[0].Qtype == dns.TypeA && !strings.Contains(resolver, ":"):
			a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(resolver)}}
		case strings.HasPrefix(name, "ns") && q.Question[0].Qtype == dns.TypeA: // who resolves it, finds this
			for _, record := range records {
				if record.Header().Name == name {
					a.Answer = append(a.Answer, record)
				}
			}
		case name == "api.gslb.example.com.":
			a.Ns, a.Extra = records[:2], records[2:]
		}
		_ = w.WriteMsg(a)
	})
	socket, err := net.ListenPacket("udp", net.JoinHostPort(resolver, "53"))
	require.NoError(t, err)
	server := &dns.Server{PacketConn: socket, Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = socket.Close(); <-done })
}
