package probes

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// extensions are those of a host.
type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// judging is an extension that wants evidence.
type judging struct {
	component.StartFunc
	component.ShutdownFunc
	watcher
}

// naming is an extension that serves DNS.
type naming struct {
	component.StartFunc
	component.ShutdownFunc
}

func (*naming) Answers(string, uint16) ([]netip.Addr, bool) { return nil, false }

func TestReceiver(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := loadText(t, `
flush_interval: 1s
modules: {entry: {prober: http, timeout: 5s}}
targets: [{module: entry, target: "http://api.example.com", address: "`+server.Listener.Addr().String()+`", subject: idc/idc1/entry, interval: 100ms}]
`)
	sink, judge := new(consumertest.MetricsSink), &judging{}
	f := NewFactory()
	r, err := f.CreateMetrics(t.Context(), receivertest.NewNopSettings(f.Type()), c, sink)
	require.NoError(t, err)
	host := extensions{component.MustNewID("failover"): judge, component.MustNewID("dns"): &naming{}}
	require.NoError(t, r.Start(t.Context(), host))
	evidenceOf(t, &judge.watcher, "evidence comes at once", func(seen []Evidence) bool { return len(seen) > 3 })
	require.Eventually(t, func() bool { return len(sink.AllMetrics()) > 0 }, 20*time.Second, 10*time.Millisecond, "metrics come at the interval")
	require.NoError(t, r.Shutdown(context.Background()))
	seen := judge.all()
	for _, e := range seen {
		require.True(t, e.OK, e.Reason)
		require.Equal(t, "idc1", e.IDC)
		require.Equal(t, "entry http://api.example.com "+server.Listener.Addr().String(), e.Probe)
	}
	last := sink.AllMetrics()[len(sink.AllMetrics())-1:]
	require.EqualValues(t, len(seen), points(last, "lockkeeper_probe_results_total", "result")["success"].IntValue(), "the last flush has all results")
	require.Equal(t, 200.0, points(last, "probe_http_status_code", "idc")["idc1"].DoubleValue())
}

func TestReceiverWithoutTargets(t *testing.T) {
	f := NewFactory()
	r, err := f.CreateMetrics(t.Context(), receivertest.NewNopSettings(f.Type()), f.CreateDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, r.Shutdown(t.Context()), "before it started")
	r, err = f.CreateMetrics(t.Context(), receivertest.NewNopSettings(f.Type()), f.CreateDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, r.Shutdown(t.Context()))
}

// What is wrong with a module shows at the start.
func TestReceiverDoesNotStart(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		factory := NewFactory()
		r, err := factory.CreateMetrics(t.Context(), receivertest.NewNopSettings(factory.Type()), loadText(t, text), consumertest.NewNop())
		require.NoError(t, err)
		require.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), want)
		require.NoError(t, r.Shutdown(t.Context()))
	}
	f(`{modules: {entry: {prober: http, http: {tls_config: {ca_file: missing.pem}}}}, targets: [{module: entry, target: a}]}`,
		"modules::entry: tls_config: ca_file: open missing.pem")
}
