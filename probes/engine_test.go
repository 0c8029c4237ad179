package probes

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// watcher keeps the evidence that it is told.
type watcher struct {
	mu   sync.Mutex
	seen []Evidence
}

func (w *watcher) Observe(evidence []Evidence) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, evidence...)
}

func (w *watcher) all() []Evidence {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Evidence(nil), w.seen...)
}

// still is a driver that does nothing by itself.
type still struct{ targets []*Target }

func (s *still) set(targets []*Target) { s.targets = targets }

func (s *still) run(ctx context.Context) { <-ctx.Done() }

// newTestEngine has a driver that does nothing: the test reports.
func newTestEngine(t *testing.T) (*engine, *still, *watcher, *sdkmetric.ManualReader) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	telemetry, err := newTelemetry(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	require.NoError(t, err)
	w, s := &watcher{}, &still{}
	m := defaultModule("tcp")
	e, err := newEngine(map[string]*Module{"tcp": &m}, surroundings{}, []observer{w}, telemetry)
	require.NoError(t, err)
	e.scheduler = s
	return e, s, w, reader
}

// count is the sum of a metric of the receiver's own.
func count(t *testing.T, reader *sdkmetric.ManualReader, name string) (n int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			var points []metricdata.DataPoint[int64]
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				points = data.DataPoints
			case metricdata.Gauge[int64]:
				points = data.DataPoints
			}
			for _, p := range points {
				n += p.Value
			}
		}
	}
	return n
}

func TestEvidence(t *testing.T) {
	e, driver, w, reader := newTestEngine(t)
	e.set([]Target{
		{Module: "tcp", Target: "a:1", Address: "127.0.0.1", Subject: "idc/idc1/entry", Interval: time.Second},
		{Module: "tcp", Target: "a:2", Subject: "idc/idc1/entry", Interval: time.Second},
		{Module: "tcp", Target: "a:3", Interval: time.Second},
	})
	require.Len(t, driver.targets, 3)
	require.EqualValues(t, 3, count(t, reader, "lockkeeper_probe_targets"))
	first, nobody := driver.targets[0], driver.targets[2]
	at := time.Now()

	e.take([]outcome{{target: first, at: at, Result: Result{Reason: "refused"}}})
	want := Evidence{
		Subject: "idc/idc1/entry", IDC: "idc1", Probe: "tcp a:1 127.0.0.1", Probes: 2, At: at, Next: 2500 * time.Millisecond, Reason: "refused",
	}
	require.Equal(t, []Evidence{want}, w.all())

	// the second look can only clear
	e.take([]outcome{{target: first, at: at, again: true, Result: Result{Reason: "refused"}}})
	require.Len(t, w.all(), 1)
	e.take([]outcome{{target: first, at: at, again: true, Result: Result{OK: true}}})
	require.Len(t, w.all(), 2)
	require.True(t, w.all()[1].OK)

	// without a subject there are only metrics
	e.take([]outcome{{target: nobody, at: at, Result: Result{OK: true}}})
	require.Len(t, w.all(), 2)

	// what this machine is to blame for is counted, and no evidence
	require.Zero(t, count(t, reader, "lockkeeper_probe_errors_total"))
	e.take([]outcome{{target: first, at: at, Result: Result{Err: syscall.EMFILE}}, {target: first, at: at, late: true}})
	require.Len(t, w.all(), 2)
	require.EqualValues(t, 1, count(t, reader, "lockkeeper_probe_errors_total"))
	require.EqualValues(t, 1, count(t, reader, "lockkeeper_probe_discarded_total"))
	require.ErrorIs(t, e.problems()["tcp"], syscall.EMFILE)
	require.Empty(t, e.problems(), "told once")
	e.telemetry.drop(first)
	require.EqualValues(t, 1, count(t, reader, "lockkeeper_probe_dropped_total"))

	// what is reported of a target that was taken away is overlooked; the others are the same as before
	e.set([]Target{*driver.targets[1]})
	e.take([]outcome{{target: first, at: at, Result: Result{OK: true}}})
	require.Len(t, w.all(), 2)
	e.take([]outcome{{target: driver.targets[0], at: at, Result: Result{OK: true}}})
	require.Len(t, w.all(), 3)
	require.Equal(t, 1, w.all()[2].Probes)
	require.Equal(t, "tcp a:2", w.all()[2].Probe)
}

// points are those of a metric, by the label that is asked for.
func points(all []pmetric.Metrics, name, label string) map[string]pmetric.NumberDataPoint {
	found := map[string]pmetric.NumberDataPoint{}
	for _, metrics := range all {
		for _, m := range metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if m.Name() != name {
				continue
			}
			var slice pmetric.NumberDataPointSlice
			if m.Type() == pmetric.MetricTypeSum {
				slice = m.Sum().DataPoints()
			} else {
				slice = m.Gauge().DataPoints()
			}
			for _, p := range slice.All() {
				value, _ := p.Attributes().Get(label)
				found[value.AsString()] = p
			}
		}
	}
	return found
}

func TestMetrics(t *testing.T) {
	e, driver, _, _ := newTestEngine(t)
	e.gateway = "gw1"
	own := Target{Module: "tcp", Target: "a:1", Address: "127.0.0.1", Subject: "idc/idc1/entry", Interval: time.Second}
	e.set([]Target{own})
	now := time.Now()
	require.Empty(t, e.flush(now), "nothing before the first result")
	e.take([]outcome{{target: driver.targets[0], at: now, Result: Result{
		OK: true, Took: time.Second / 2, Phases: []Phase{{"connect", time.Second / 4}}, Values: []Value{{Name: "probe_tls_version_info", Label: "version", Is: "TLS 1.3", Number: 1}},
	}}})

	all := e.flush(now)
	require.Equal(t, 1.0, points(all, "probe_success", "target")["a:1"].DoubleValue())
	require.Equal(t, 0.5, points(all, "probe_duration_seconds", "target")["a:1"].DoubleValue())
	require.Equal(t, 0.25, points(all, "probe_tcp_duration_seconds", "phase")["connect"].DoubleValue())
	require.Equal(t, 1.0, points(all, "probe_tls_version_info", "version")["TLS 1.3"].DoubleValue())
	require.EqualValues(t, 1, points(all, "lockkeeper_probe_results_total", "result")["success"].IntValue())
	require.EqualValues(t, 0, points(all, "lockkeeper_probe_results_total", "result")["failure"].IntValue())
	require.Equal(t, map[string]any{"module": "tcp", "target": "a:1", "instance": "127.0.0.1", "subject": "idc/idc1/entry", "idc": "idc1", "gateway": "gw1"},
		points(all, "probe_success", "target")["a:1"].Attributes().AsRaw())

	// what is not measured any more has no value, such as a phase that was not reached
	e.take([]outcome{{target: driver.targets[0], at: now, Result: Result{Reason: "refused"}}})
	all = e.flush(now)
	require.Equal(t, 0.0, points(all, "probe_success", "target")["a:1"].DoubleValue())
	require.True(t, points(all, "probe_tcp_duration_seconds", "phase")["connect"].Flags().NoRecordedValue())
	require.Empty(t, points(e.flush(now), "probe_tcp_duration_seconds", "phase"), "told once")

	// what is silent has no value any more
	require.False(t, points(e.flush(now), "probe_success", "target")["a:1"].Flags().NoRecordedValue())
	require.True(t, points(e.flush(now.Add(time.Minute)), "probe_success", "target")["a:1"].Flags().NoRecordedValue())

	// what is taken away is told once more
	e.set(nil)
	require.True(t, points(e.flush(now), "lockkeeper_probe_results_total", "target")["a:1"].Flags().NoRecordedValue())
	require.Empty(t, e.flush(now))

	// many targets are told in several requests
	var many []Target
	for i := range 2*requestTargets + 1 {
		many = append(many, Target{Module: "tcp", Target: "a:1", Subject: "machine/a", Interval: time.Second + time.Duration(i)})
	}
	e.set(many)
	for _, target := range driver.targets {
		e.take([]outcome{{target: target, at: now, Result: Result{OK: true}}})
	}
	all = e.flush(now)
	require.Len(t, all, 3)
	n := 0
	for _, metrics := range all {
		n += metrics.DataPointCount()
	}
	require.Equal(t, 4*len(many), n)
}

// A name that does not exist is the target's fault; a resolver that is away is not. Only a route that this machine lacks is its own fault.
func TestWhoseFault(t *testing.T) {
	here := netip.MustParseAddr("127.0.0.1")
	f := func(want bool, err error, ip netip.Addr) {
		t.Helper()
		require.Equal(t, want, ours(&net.OpError{Op: "dial", Err: err}, ip), "%v", err)
	}
	f(false, os.NewSyscallError("connect", syscall.ECONNREFUSED), here)
	f(false, os.NewSyscallError("read", syscall.ECONNRESET), here)
	f(false, &net.DNSError{Err: "no such host", IsNotFound: true}, netip.Addr{})
	f(true, &net.DNSError{Err: "server misbehaving", IsTemporary: true}, netip.Addr{})
	f(true, os.NewSyscallError("socket", syscall.EMFILE), here)
	f(true, os.NewSyscallError("connect", syscall.EADDRNOTAVAIL), here)
	f(false, os.NewSyscallError("connect", syscall.EHOSTUNREACH), here) // a router said so
	f(false, os.NewSyscallError("connect", syscall.ENETUNREACH), here)
	f(true, os.NewSyscallError("connect", syscall.ENETUNREACH), netip.MustParseAddr("fe80::1")) // no route from here
	require.False(t, ours(errors.New("status 503"), here))
}

// evidenceOf waits until a condition holds for what a receiver saw.
func evidenceOf(t *testing.T, w *watcher, what string, holds func([]Evidence) bool) {
	t.Helper()
	require.Eventually(t, func() bool { return holds(w.all()) }, 20*time.Second, 5*time.Millisecond, what)
}

// A real server that dies and comes back.
func TestEngineSeesAServerDie(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	telemetry, err := newTelemetry(noop.NewMeterProvider())
	require.NoError(t, err)
	w := &watcher{}
	m := defaultModule("tcp")
	m.Timeout = 5 * time.Second
	e, err := newEngine(map[string]*Module{"tcp": &m}, surroundings{}, []observer{w}, telemetry)
	require.NoError(t, err)
	e.set([]Target{{Module: "tcp", Target: address, Subject: "machine/m1", IDC: "idc1", Interval: 100 * time.Millisecond}})
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	tasks.Go(func() { e.run(ctx) })
	evidenceOf(t, w, "it is well", func(seen []Evidence) bool { return len(seen) > 2 && seen[len(seen)-1].OK })
	require.NoError(t, listener.Close())
	evidenceOf(t, w, "it is dead", func(seen []Evidence) bool {
		last := seen[len(seen)-1]
		return !last.OK && last.Reason == "connection refused" && last.IDC == "idc1"
	})
	listener, err = net.Listen("tcp", address)
	require.NoError(t, err)
	evidenceOf(t, w, "it is back", func(seen []Evidence) bool { return seen[len(seen)-1].OK })
	cancel()
	tasks.Wait()
	require.NoError(t, listener.Close())
}
