package real

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	benchNames  = 300
	benchRounds = 3
)

// BenchmarkDNSPerf measures the CPU that a server's process takes for a query, by dnsperf, over 300 names that have an address in each of two IDCs:
// ours, CoreDNS with loadbalance weighted and gdnsd with its plugin weighted, each with its own defaults, in turns, the median of three rounds.
// 100 queries are always under way, which is dnsperf's default and no more than CoreDNS's receive buffer holds. An operation is three rounds of each.
func BenchmarkDNSPerf(b *testing.B) {
	program := tool(b, "dnsperf", aptDNSPerf, "dnsperf")
	servers := []struct {
		name   string
		server authority
		costs  []float64 // CPU-µs/query, by round
		rates  []float64
	}{
		{name: "lockkeeper", server: startLockkeeper(b, benchNames)},
		{name: "coredns", server: startCoreDNS(b, benchNames)},
		{name: "gdnsd", server: startGdnsd(b, benchNames)},
	}
	var questions strings.Builder
	for i := range benchNames {
		fmt.Fprintf(&questions, "n%d.%s A\n", i, zone)
	}
	file := write(b, b.TempDir(), "questions", questions.String())
	for _, s := range servers { // what is built up at first queries is not the bill's
		runDNSPerf(b, program, s.server.address, file, "-n", "10")
	}
	for b.Loop() {
		for range benchRounds {
			for i := range servers {
				s := &servers[i]
				before := cpuTime(b, s.server.pid)
				run := runDNSPerf(b, program, s.server.address, file, "-l", "2", "-c", "20", "-q", "100", "-t", "1")
				if want := fmt.Sprintf("NOERROR %d (100.00%%)", run.completed); run.codes != want {
					b.Fatalf("%s: want %s, got %s", s.name, want, run.codes)
				}
				s.costs = append(s.costs, float64((cpuTime(b, s.server.pid)-before).Microseconds())/float64(run.completed))
				s.rates = append(s.rates, run.rate)
			}
		}
	}
	ours := median(servers[0].costs)
	for _, s := range servers {
		b.ReportMetric(median(s.costs), "CPU-µs/query-"+s.name)
		b.ReportMetric(median(s.rates), "queries/s-"+s.name)
		if s.name != "lockkeeper" {
			b.ReportMetric(ours/median(s.costs), "×"+s.name)
		}
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// dnsperf is what dnsperf says of a run.
type dnsperf struct {
	sent, completed, lost int
	rate                  float64 // queries a second
	codes                 string  // response codes with how many had them
}

func runDNSPerf(t testing.TB, program string, server netip.AddrPort, questions string, args ...string) (d dnsperf) {
	t.Helper()
	args = append([]string{"-s", server.Addr().String(), "-p", strconv.Itoa(int(server.Port())), "-d", questions}, args...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dnsperf: %v\n%s", err, out)
	}
	number := func(what string) float64 {
		match := regexp.MustCompile(what + `:\s+([0-9.]+)`).FindSubmatch(out)
		if match == nil {
			t.Fatalf("dnsperf does not say %q:\n%s", what, out)
		}
		value, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	d.sent, d.completed, d.lost = int(number("Queries sent")), int(number("Queries completed")), int(number("Queries lost"))
	d.rate = number("Queries per second")
	if match := regexp.MustCompile(`Response codes:\s+(.*)`).FindSubmatch(out); match != nil {
		d.codes = string(match[1])
	}
	return d
}

// cpuTime is a process' user and system time.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Skipf("needs Linux's /proc: %v", err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ, which is 100 on all of Linux's usual architectures
}
