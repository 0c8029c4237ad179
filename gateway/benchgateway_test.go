package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
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

// benchGateway is a gateway process under load.
type benchGateway struct {
	sink, console  string
	self           string // its own metrics
	pid, pluginPID int
}

// startGateway starts bin/lockkeeper with the default configuration on free ports; certificate is a file with the certificate and
// key of its receiver, or "" for a receiver without TLS.
func startGateway(b *testing.B, certificate string) *benchGateway {
	b.Helper()
	binary, err := filepath.Abs("../bin/lockkeeper")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		b.Skipf("needs the built gateway (make build): %v", err)
	}
	g := &benchGateway{sink: freeAddress(b), console: freeAddress(b), self: freeAddress(b)}
	selfHost, selfPort, _ := net.SplitHostPort(g.self)
	tls := ""
	if certificate != "" {
		tls = fmt.Sprintf(", tls: {cert_file: %q, key_file: %q}", certificate, certificate)
	}
	config := filepath.Join(b.TempDir(), "bench.yaml")
	text := fmt.Sprintf(`
receivers:
  envoy: {endpoint: %q, access_logs: none%s}
  otlp: {protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}
  prometheus/self: {config: {scrape_configs: [{job_name: lockkeeper, static_configs: [{targets: [%q]}]}]}}
extensions:
  console: {endpoint: %q}
service:
  telemetry:
    logs: {level: warn}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: %s, port: %s}}}}]}
`, g.sink, tls, freeAddress(b), freeAddress(b), g.self, g.console, selfHost, selfPort)
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
	g.pluginPID = pluginOf(b, g.console, "victoriametrics").PID
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

// metric reads one of the gateway's own metrics, summed over its labels; 0 without.
func (g *benchGateway) metric(b *testing.B, name string) (sum float64) {
	b.Helper()
	r, err := http.Get("http://" + g.self + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok && strings.IndexAny(rest, "{ ") == 0 {
			value, _ := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			sum += value
		}
	}
	return sum
}

// loadProcess is this test binary, run as a load generator (see TestMain).
type loadProcess struct {
	in  io.Writer
	out *bufio.Scanner
}

func startLoad(b *testing.B, sink string, spec loadSpec) *loadProcess {
	b.Helper()
	spec.Target = sink
	text, err := json.Marshal(spec)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), loadEnv+"="+string(text))
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

// certificate makes a certificate for loopback that signs itself, and returns a file with it and its key.
func certificate(b testing.TB) string {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "chief"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		b.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "bench.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.Fatal(err)
	}
	return file
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

// freeAddress is where another process is to listen. The loopback address is a random one, so that no connection, which comes from
// 127.0.0.1, and no other listener takes the port meanwhile.
func freeAddress(b testing.TB) string {
	b.Helper()
	var at [3]byte
	_, _ = rand.Read(at[:])
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+at[0]&63, at[1], 1+at[2]%254))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// cpuSeconds is a process' user and system time.
func cpuSeconds(b testing.TB, pid int) float64 {
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
