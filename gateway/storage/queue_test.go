package storage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// onDisk runs a gateway's queue on disk in front of plugin x, and gives what use needs to put requests into it and to ask for
// the age of the oldest.
func onDisk(t *testing.T, directory string, conn grpc.ClientConnInterface, use func(consume func(name string), age func() float64)) {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = directory
	disk, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	h := host{conn: conn, others: map[component.ID]component.Component{component.MustNewID("file_storage"): disk}}
	require.NoError(t, disk.Start(t.Context(), h))

	own, err := load(t, `{plugin: x, sending_queue: {storage: file_storage}}`)
	require.NoError(t, err)
	telemetry := componenttest.NewTelemetry()
	e := createWith(t, telemetry.NewTelemetrySettings(), own, h)
	use(func(name string) { require.NoError(t, e.ConsumeMetrics(t.Context(), someMetrics(name))) },
		func() float64 { return queueAge(t, telemetry) })
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, disk.Shutdown(t.Context()))
	require.NoError(t, telemetry.Shutdown(context.Background()))
}

func queueAge(t *testing.T, telemetry *componenttest.Telemetry) float64 {
	t.Helper()
	metric, err := telemetry.GetMetric("lockkeeper_plugin_queue_age_seconds")
	require.NoError(t, err)
	points := metric.Data.(metricdata.Gauge[float64]).DataPoints
	require.Len(t, points, 1)
	require.Equal(t, attribute.NewSet(attribute.String("plugin", "x"), attribute.String("signal", "metrics")), points[0].Attributes)
	return points[0].Value
}

// awayPlugin takes nothing until it is up. What it refuses and takes is told.
type awayPlugin struct {
	up      atomic.Bool
	refused chan struct{}
	stored  chan string
}

func serveAway(t *testing.T) (*awayPlugin, *grpc.ClientConn) {
	p := &awayPlugin{refused: make(chan struct{}, 1000), stored: make(chan string, 1000)}
	return p, servePlugin(t, sdk.Storage{WriteMetrics: func(_ context.Context, m sdk.Metrics) error {
		if !p.up.Load() {
			p.refused <- struct{}{}
			return errors.New("not now")
		}
		data, err := m.Decode()
		p.stored <- data.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Name()
		return err
	}})
}

// What was accepted while the plugin was down is delivered after a restart of the gateway.
func TestQueueOnDiskSurvivesARestart(t *testing.T) {
	plugin, conn := serveAway(t)
	directory := t.TempDir()
	var want, got []string
	onDisk(t, directory, conn, func(consume func(string), _ func() float64) {
		for i := range 20 {
			want = append(want, fmt.Sprintf("m%d", i))
			consume(want[i])
		}
		<-plugin.refused
	})
	plugin.up.Store(true)
	onDisk(t, directory, conn, func(func(string), func() float64) {
		for range want {
			got = append(got, <-plugin.stored)
		}
	})
	require.ElementsMatch(t, want, got)
	require.Empty(t, plugin.stored)
}

// The age of the oldest request counts from when it was queued, also when a gateway before this one did that.
func TestQueueAgeOutlivesTheGateway(t *testing.T) {
	plugin, conn := serveAway(t)
	directory := t.TempDir()
	var before, after time.Time // the first was queued
	isOldest := func(age func() float64) {
		t.Helper()
		least := time.Since(after).Seconds()
		got := age()
		require.GreaterOrEqual(t, got, least)
		require.LessOrEqual(t, got, time.Since(before).Seconds())
	}
	onDisk(t, directory, conn, func(consume func(string), age func() float64) {
		require.Zero(t, age())
		before = time.Now()
		consume("m0")
		after = time.Now()
		<-plugin.refused
		for range 30 { // more than are under way at the same time
			consume("more")
		}
		isOldest(age)
	})
	onDisk(t, directory, conn, func(consume func(string), age func() float64) {
		consume("new")
		isOldest(age)
		plugin.up.Store(true)
		for range 32 {
			<-plugin.stored
		}
		require.Eventually(t, func() bool { return age() == 0 }, time.Minute, 10*time.Millisecond)
	})
}

// So does a queue in memory, of which requests count that were never tried.
func TestQueueAgeInMemory(t *testing.T) {
	plugin, conn := serveAway(t)
	telemetry := componenttest.NewTelemetry()
	cfg, err := load(t, `{plugin: x, sending_queue: {num_consumers: 1, queue_size: 1000}}`)
	require.NoError(t, err)
	e := createWith(t, telemetry.NewTelemetrySettings(), cfg, host{conn: conn})
	require.Zero(t, queueAge(t, telemetry))
	require.NoError(t, e.ConsumeMetrics(t.Context(), someMetrics("m0")))
	first := time.Now()
	<-plugin.refused
	taken := 1
	for e.ConsumeMetrics(t.Context(), someMetrics("more")) == nil { // until the queue is full
		taken++
	}
	least := time.Since(first).Seconds()
	require.GreaterOrEqual(t, queueAge(t, telemetry), least)
	plugin.up.Store(true)
	for range taken {
		<-plugin.stored
	}
	require.Eventually(t, func() bool { return queueAge(t, telemetry) == 0 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, telemetry.Shutdown(context.Background()))
}

// A full queue refuses what is new, and counts it. Its size is told in what the sizer says.
func TestFullQueue(t *testing.T) {
	f := func(sizer string, requestSize int) {
		t.Helper()
		plugin, conn := serveAway(t)
		telemetry := componenttest.NewTelemetry()
		cfg, err := load(t, fmt.Sprintf(`{plugin: x, sending_queue: {sizer: %s, queue_size: %d}}`, sizer, 3*requestSize))
		require.NoError(t, err)
		queues := map[string]func() (size, capacity int64, oldest time.Duration){}
		e := createWith(t, telemetry.NewTelemetrySettings(), cfg, host{conn: conn, queues: queues})
		for range 3 {
			require.NoError(t, e.ConsumeMetrics(t.Context(), someMetrics("x")))
		}
		require.ErrorContains(t, e.ConsumeMetrics(t.Context(), someMetrics("x")), "sending queue is full")
		require.Equal(t, 1, counted(telemetry, "otelcol_exporter_enqueue_failed_metric_points"))
		require.Equal(t, 3*requestSize, counted(telemetry, "otelcol_exporter_queue_size"))
		require.Equal(t, 3*requestSize, counted(telemetry, "otelcol_exporter_queue_capacity"))
		size, capacity, oldest := queues["plugin/metrics metrics "+sizer]()
		require.EqualValues(t, 3*requestSize, size)
		require.EqualValues(t, 3*requestSize, capacity)
		require.Positive(t, oldest)
		plugin.up.Store(true)
		for range 3 {
			<-plugin.stored
		}
		require.NoError(t, e.Shutdown(t.Context()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	}
	r, err := encodeMetrics(t.Context(), someMetrics("x"))
	require.NoError(t, err)
	f("bytes", r.BytesSize())
	f("items", 1)
	f("requests", 1)

	// also where nobody takes the gateway's metrics
	_, conn := serveAway(t)
	queues := map[string]func() (size, capacity int64, oldest time.Duration){}
	cfg, err := load(t, "{plugin: x, sending_queue: {sizer: requests, queue_size: 7}, retry_on_failure: {enabled: false}}")
	require.NoError(t, err)
	e := create(t, cfg, host{conn: conn, queues: queues})
	size, capacity, _ := queues["plugin/metrics metrics requests"]()
	require.Equal(t, []int64{0, 7}, []int64{size, capacity})
	require.NoError(t, e.Shutdown(t.Context()))
}
