package pluginhost

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func newCounted(t testing.TB) (conn, *componenttest.Telemetry) {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	m, err := newMetrics(telemetry.NewTelemetrySettings().MeterProvider)
	require.NoError(t, err)
	return conn{process: &process{name: "demo", metrics: m}}, telemetry
}

func BenchmarkCount(b *testing.B) {
	c, _ := newCounted(b)
	b.ReportAllocs()
	for b.Loop() {
		c.count("/lockkeeper.plugin.v1.Plugin/Health", nil, time.Now())
	}
}

// What counting costs is paid for each batch of samples.
func TestCountingAllocatesNothing(t *testing.T) {
	c, _ := newCounted(t)
	refused := status.Error(codes.Unavailable, "later")
	require.Zero(t, testing.AllocsPerRun(100, func() { c.count("/lockkeeper.plugin.v1.Plugin/Health", nil, time.Now()) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { c.count("/lockkeeper.plugin.v1.Plugin/Health", refused, time.Now()) }))
}

// A plugin that makes up codes makes no series of them.
func TestCodesAreBounded(t *testing.T) {
	c, telemetry := newCounted(t)
	for code := range codes.Code(100) {
		c.count("/x/Y", status.Error(code, "no"), time.Now())
	}
	require.Len(t, points(t, telemetry, "lockkeeper_plugin_calls_total"), 17)
	require.Len(t, c.process.metrics.calls.known, 17)
	require.Equal(t, []point{{"method=x/Y,plugin=demo", 100}}, points(t, telemetry, "lockkeeper_plugin_call_duration_seconds"))
}
