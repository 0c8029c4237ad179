package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
)

// sample is one value of one series, at a time in milliseconds.
type sample struct {
	series string
	at     int64
}

// witness is an OTLP server that the gateway exports to beside its storage: it notes each sample of istio_requests_total.
type witness struct {
	pmetricotlp.UnimplementedGRPCServer
	address string
	mu      sync.Mutex
	samples map[sample]int64
}

func startWitness(t *testing.T) *witness {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{address: listener.Addr().String(), samples: map[sample]int64{}}
	server := grpc.NewServer()
	pmetricotlp.RegisterGRPCServer(server, w)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return w
}

// Export implements pmetricotlp.GRPCServer.
func (w *witness) Export(_ context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, resource := range r.Metrics().ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				if metric.Name() != "istio_requests_total" {
					continue
				}
				for _, p := range metric.Sum().DataPoints().All() {
					labels := map[string]string{}
					for name, value := range p.Attributes().All() {
						labels[name] = value.Str()
					}
					w.samples[sample{seriesName(labels), int64(p.Timestamp()) / 1e6}] = p.IntValue()
				}
			}
		}
	}
	return pmetricotlp.NewExportResponse(), nil
}

func (w *witness) seen() map[sample]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.samples)
}

// seriesName writes labels in order, without those that a storage adds.
func seriesName(labels map[string]string) string {
	var text []string
	for name, value := range labels {
		if name != "__name__" && name != "job" && name != "instance" {
			text = append(text, name+"="+value)
		}
	}
	slices.Sort(text)
	return strings.Join(text, ",")
}

// durable is a gateway with its storage, a witness beside it and access logs coming in.
type durable struct {
	addresses
	configs []string
	data    string
	witness *witness
	gateway *process
}

func startDurable(t *testing.T) *durable {
	t.Helper()
	plugins := needsPlugins(t)
	d := &durable{addresses: freeAddresses(t), data: t.TempDir(), witness: startWitness(t)}
	d.configs = []string{"--config", d.config(t, plugins), "--config", writeFile(t, fmt.Sprintf(`
exporters: {otlp/witness: {endpoint: %q, tls: {insecure: true}, sending_queue: {storage: file_storage}}}
service: {pipelines: {metrics: {exporters: [plugin/metrics, otlp/witness]}}}
`, d.witness.address))}
	d.run(t)
	return d
}

func (d *durable) run(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"run"}, d.configs...)...)
	cmd.Env = append(os.Environ(), mainEnv+"=1", "LOCKKEEPER_DATA="+d.data)
	d.gateway = startCommand(t, cmd)
	d.gateway.expect(t, "Lockkeeper is ready.")
}

// load sends access logs at an ever changing rate until the returned func is called.
func (d *durable) load(t *testing.T) (stop func()) {
	t.Helper()
	s, err := newSender(d.sink, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil && s.send(1+rand.IntN(2000)) == nil {
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		}
	}()
	return func() {
		cancel()
		<-done
		_ = s.stream.CloseSend()
	}
}

// plugin returns the state of the storage plugin.
func (d *durable) plugin(t *testing.T) pluginState {
	t.Helper()
	return pluginOf(t, d.console, "victoriametrics")
}

// stored reads all samples of istio_requests_total from the storage.
func (d *durable) stored(t *testing.T) map[sample]int64 {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	getJSON(t, "http://"+d.console+"/prometheus/api/v1/query?query="+url.QueryEscape("istio_requests_total[1h]"), &answer)
	samples := map[sample]int64{}
	for _, r := range answer.Data.Result {
		for _, v := range r.Values {
			n, err := strconv.ParseInt(v[1].(string), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			samples[sample{seriesName(r.Metric), int64(v[0].(float64)*1000 + .5)}] = n
		}
	}
	return samples
}

// compare waits until the storage has what the witness has, and tells what is missing. The last flush is left out when it was cut:
// a gateway that is killed between the two has handed it to one of them alone.
func (d *durable) compare(t *testing.T, cut bool) {
	t.Helper()
	var missing, seen int
	defer func() {
		if missing > 0 {
			t.Errorf("the storage lacks %d of %d samples", missing, seen)
		}
	}()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(500 * time.Millisecond) { // a retry waits for half a minute
		want, got := d.witness.seen(), d.stored(t)
		if cut {
			withoutLast(want, got)
		}
		missing, seen = 0, len(want)
		for s, n := range want {
			if value, ok := got[s]; !ok || value != n {
				missing++
			}
		}
		if seen > 0 && missing == 0 && len(got) == len(want) {
			t.Logf("%d samples, all stored, at %d times", seen, d.times(want))
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("the storage has %d samples, the witness %d", len(got), seen)
			return
		}
	}
}

// withoutLast takes out of both what is of the latest time of either.
func withoutLast(a, b map[sample]int64) {
	var last int64
	for _, samples := range []map[sample]int64{a, b} {
		for s := range samples {
			last = max(last, s.at)
		}
	}
	for _, samples := range []map[sample]int64{a, b} {
		maps.DeleteFunc(samples, func(s sample, _ int64) bool { return s.at == last })
	}
}

func (d *durable) times(samples map[sample]int64) int {
	at := map[int64]bool{}
	for s := range samples {
		at[s.at] = true
	}
	return len(at)
}

func TestKillingTheStorageLosesNoSample(t *testing.T) {
	d := startDurable(t)
	stop := d.load(t)
	fastest := time.Hour
	for range 3 {
		time.Sleep(3500 * time.Millisecond) // some flushes, the last of them only in the plugin's memory
		before := d.plugin(t)
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		wait(t, "the storage to be back", func() bool {
			now := d.plugin(t)
			return now.State == "running" && now.PID != before.PID && d.answers()
		})
		t.Logf("back after %v", time.Since(killed))
		fastest = min(fastest, time.Since(killed))
	}
	if fastest > 20*time.Second { // 2 s are asked for; only what is far beyond fails, so that a busy machine does not
		t.Errorf("back after %v at best", fastest)
	}
	time.Sleep(2 * time.Second)
	stop()
	d.gateway.signal(t, syscall.SIGHUP) // the last flush; the new collector starts its series anew
	d.gateway.expect(t, "reloaded")
	d.compare(t, false)
}

// answers tells whether the storage answers a query.
func (d *durable) answers() bool {
	r, err := http.Get("http://" + d.console + "/prometheus/api/v1/query?query=1")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func TestKillingTheGatewayLosesNothingQueued(t *testing.T) {
	d := startDurable(t)
	stop := d.load(t)
	time.Sleep(3 * time.Second)
	// The storage hangs: flushes wait in the queue. Then the gateway dies.
	plugin := d.plugin(t).PID
	if err := syscall.Kill(plugin, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	d.gateway.signal(t, syscall.SIGKILL)
	stop()
	if err := syscall.Kill(plugin, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wait(t, "the plugin to end with its gateway", func() bool { return syscall.Kill(plugin, 0) != nil })
	d.run(t)
	d.compare(t, true)
}
