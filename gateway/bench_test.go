package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkALS measures the whole gateway process, from Envoy's access logs to the storage plugin, loaded by another process
// until it is saturated. An operation is ten million entries: some flushes belong to it.
func BenchmarkALS(b *testing.B) {
	b.Run("8 mixed streams", func(b *testing.B) { benchmarkALS(b, 8) })
}

func benchmarkALS(b *testing.B, streams int) {
	gateway := startGateway(b)
	load := startLoad(b, gateway.sink, streams)
	load.send(b, 100_000) // every series is known from here on
	counted := gateway.waitCounted(b, 100_000)
	first, cpu, pluginCPU := counted, cpuSeconds(b, gateway.pid), cpuSeconds(b, gateway.pluginPID)
	for b.Loop() {
		load.send(b, 10_000_000)
	}
	counted = gateway.waitCounted(b, first+b.N*10_000_000) // the last flush and its export belong to the bill
	millions := float64(counted-first) / 1e6
	b.ReportMetric((cpuSeconds(b, gateway.pid)-cpu)/millions, "CPU-s/M")
	b.ReportMetric((cpuSeconds(b, gateway.pluginPID)-pluginCPU)/millions, "plugin-CPU-s/M")
	b.ReportMetric(residentMiB(b, gateway.pid), "RSS-MiB")
}

// benchGateway is a gateway process under load.
type benchGateway struct {
	sink, console  string
	pid, pluginPID int
}

// startGateway starts bin/lockkeeper with the default configuration on free ports.
func startGateway(b *testing.B) *benchGateway {
	b.Helper()
	binary, err := filepath.Abs("../bin/lockkeeper")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		b.Skipf("needs the built gateway (make build): %v", err)
	}
	g := &benchGateway{sink: freeAddress(b), console: freeAddress(b)}
	self := freeAddress(b)
	_, selfPort, _ := net.SplitHostPort(self)
	config := filepath.Join(b.TempDir(), "bench.yaml")
	text := fmt.Sprintf(`
receivers:
  envoy: {endpoint: %q}
  otlp: {protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}
  prometheus/self: {config: {scrape_configs: [{job_name: lockkeeper, static_configs: [{targets: [%q]}]}]}}
extensions:
  console: {endpoint: %q}
service:
  telemetry:
    logs: {level: warn}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %s}}}}]}
`, g.sink, freeAddress(b), freeAddress(b), self, g.console, selfPort)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--config", config)
	cmd.Env = append(os.Environ(), "LOCKKEEPER_DATA="+b.TempDir())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	g.pid = cmd.Process.Pid
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	wait(b, "the gateway to be ready", func() bool {
		r, err := http.Get("http://" + g.console + "/-/ready")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	var plugins struct{ Plugins []struct{ PID int } }
	getJSON(b, "http://"+g.console+"/api/v1/plugins", &plugins)
	g.pluginPID = plugins.Plugins[0].PID
	return g
}

// waitCounted waits until the storage has n requests and returns how many it has: what was sent may still be on its way.
func (g *benchGateway) waitCounted(b *testing.B, n int) int {
	b.Helper()
	counted := 0
	wait(b, fmt.Sprintf("%d requests in the storage", n), func() bool {
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		getJSON(b, "http://"+g.console+"/prometheus/api/v1/query?query=sum(istio_requests_total)", &answer)
		if len(answer.Data.Result) == 1 {
			text, _ := answer.Data.Result[0].Value[1].(string)
			counted, _ = strconv.Atoi(text)
		}
		return counted >= n
	})
	return counted
}

// loadProcess is this test binary, run as a load generator (see TestMain).
type loadProcess struct {
	in  io.Writer
	out *bufio.Scanner
}

func startLoad(b *testing.B, sink string, streams int) *loadProcess {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), loadEnv+"="+sink+" "+strconv.Itoa(streams))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &loadProcess{in: in, out: bufio.NewScanner(out)}
}

// send has the load process send at least n entries.
func (l *loadProcess) send(b *testing.B, n int) {
	b.Helper()
	if _, err := fmt.Fprintln(l.in, n); err != nil {
		b.Fatal(err)
	}
	if !l.out.Scan() {
		b.Fatal("the load generator ended")
	}
}

func wait(b testing.TB, what string, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("waited two minutes for %s", what)
		}
	}
}

func getJSON(b testing.TB, url string, into any) {
	b.Helper()
	r, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		b.Fatalf("%s: %s: %v", url, r.Status, err)
	}
}

func freeAddress(b testing.TB) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// cpuSeconds is a process' user and system time.
func cpuSeconds(b *testing.B, pid int) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skipf("needs Linux's /proc: %v", err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100 // USER_HZ, which is 100 on all of Linux's usual architectures
}

func residentMiB(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kib / 1024
}
