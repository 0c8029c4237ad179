package envoy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	client "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// recordedStats reads a stream that a real Envoy sent.
func recordedStats(t testing.TB) (messages []*metricsv3.StreamMetricsMessage) {
	t.Helper()
	f, err := os.Open("testdata/stats_stream.binpb")
	require.NoError(t, err)
	defer f.Close()
	in := bufio.NewReader(f)
	for {
		m := &metricsv3.StreamMetricsMessage{}
		if err := (protodelim.UnmarshalOptions{MaxSize: 1 << 20}).UnmarshalFrom(in, m); errors.Is(err, io.EOF) {
			return messages
		} else if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
}

// startStats runs a receiver and returns it with a client of its metrics service.
func startStats(t *testing.T, next consumer.Metrics, change func(*Config)) (*envoyReceiver, metricsv3.MetricsServiceClient) {
	t.Helper()
	r, _ := start(t, next, change)
	conn, err := grpc.NewClient(r.config.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return r, metricsv3.NewMetricsServiceClient(conn)
}

// sendStats opens a stream, sends messages and ends it. It returns the stream's error.
func sendStats(t *testing.T, client metricsv3.MetricsServiceClient, messages []*metricsv3.StreamMetricsMessage) error {
	t.Helper()
	stream, err := client.StreamMetrics(t.Context())
	require.NoError(t, err)
	for _, m := range messages {
		if stream.Send(m) != nil {
			break // the stream has ended: CloseAndRecv says why
		}
	}
	_, err = stream.CloseAndRecv()
	if errors.Is(err, io.EOF) || status.Code(err) == codes.Internal && strings.Contains(err.Error(), "cardinality violation") {
		return nil // ended without an answer
	}
	return err
}

// statsOf returns the labels of the last point of each counter of stats.
func statsOf(sink *consumertest.MetricsSink) map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, m := range sink.AllMetrics() {
		for _, family := range m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if family.Type() != pmetric.MetricTypeSum {
				continue
			}
			for _, p := range family.Sum().DataPoints().All() {
				all[family.Name()] = p.Attributes().AsRaw()
			}
		}
	}
	return all
}

func TestStatsAreHandedOnWithTheirSource(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	r, client := startStats(t, sink, nil)
	require.NoError(t, sendStats(t, client, recordedStats(t)))
	require.NoError(t, r.Shutdown(t.Context()))
	labels := statsOf(sink)["envoy_cluster_upstream_rq"]
	delete(labels, "envoy_response_code")
	delete(labels, "envoy_cluster_name")
	require.Equal(t, map[string]any{
		"node": "sidecar~10.1.2.3~reviews-v1-abcde.default~default.svc.cluster.local", "app": "reviews", "version": "v1", "idc": "r1", "gateway": "gw1",
	}, labels)
}

func TestStatsThatAreKept(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	r, client := startStats(t, sink, func(c *Config) {
		c.Stats = StatsConfig{Include: []string{`cluster\.upstream_(rq|cx)_.*`}, Exclude: []string{`.*_rq_total`}}
	})
	require.NoError(t, sendStats(t, client, recordedStats(t)))
	require.NoError(t, r.Shutdown(t.Context()))
	names := statsOf(sink)
	require.Contains(t, names, "envoy_cluster_upstream_rq_completed")
	for name := range names {
		if strings.HasPrefix(name, "lockkeeper_") {
			continue
		}
		require.Regexp(t, "^envoy_cluster_upstream_(rq|cx)_", name)
		require.NotRegexp(t, "_rq_total$", name)
	}
	require.Positive(t, r.stats.Totals().Dropped["excluded"])
}

func TestBadStatsStreamsEndWithAnError(t *testing.T) {
	r, client := startStats(t, consumertest.NewNop(), nil)
	good := recordedStats(t)
	nameless := proto.CloneOf(good[0])
	nameless.Identifier = nil
	err := sendStats(t, client, []*metricsv3.StreamMetricsMessage{nameless})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, "node.id")
	garbage := proto.CloneOf(good[0])
	garbage.ProtoReflect().SetUnknown([]byte{0x0b}) // a group that never ends
	require.Equal(t, codes.InvalidArgument, status.Code(sendStats(t, client, []*metricsv3.StreamMetricsMessage{garbage})))
	require.EqualValues(t, 2, r.refusedStats.Load())
	require.Zero(t, r.refused.Load())
	require.Eventually(t, func() bool { return r.stats.Totals().Streams == 0 }, 5*time.Second, time.Millisecond)
}

// Without batch_size an Envoy sends all of its stats in one message, which gRPC's own default of 4 MiB would refuse.
func TestLargeStatsMessage(t *testing.T) {
	r, stats := startStats(t, consumertest.NewNop(), nil)
	large := &metricsv3.StreamMetricsMessage{Identifier: recordedStats(t)[0].GetIdentifier()}
	for len(large.EnvoyMetrics) < 50_000 {
		large.EnvoyMetrics = append(large.EnvoyMetrics, &client.MetricFamily{
			Name: proto.String(strings.Repeat("x", 100)), Type: client.MetricType_GAUGE.Enum(),
			Metric: []*client.Metric{{Gauge: &client.Gauge{Value: proto.Float64(1)}}},
		})
	}
	require.Greater(t, proto.Size(large), 4<<20)
	require.NoError(t, sendStats(t, stats, []*metricsv3.StreamMetricsMessage{large}))
	require.Equal(t, 1, r.stats.Totals().Series)
}

func TestStatsHaveTheirOwnMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := receivertest.NewNopSettings(NewFactory().Type())
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	r, err := newReceiver(set, defaultConfig())
	require.NoError(t, err)
	registration, err := r.observeStats(set.MeterProvider.Meter("test"))
	require.NoError(t, err)
	defer func() { require.NoError(t, registration.Unregister()) }()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, name := range []string{
		"lockkeeper_stats_malformed_total", "lockkeeper_stats_overflow_total", "lockkeeper_stats_dropped_total",
		"lockkeeper_stats_streams_refused_total", "lockkeeper_stats_streams", "lockkeeper_stats_series",
	} {
		_, err := telemetry.GetMetric(name)
		require.NoError(t, err)
		require.Contains(t, string(readme), "`"+name)
	}
}
