package envoy

import (
	"fmt"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	prometheus "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

func TestTelemetryLost(t *testing.T) {
	began := time.Unix(1700000000, 0)
	now := began.Add(time.Hour)
	compared := func(written, received uint64) *covered { // so much at each of the last samples
		n := &covered{Flushed: true}
		for i := range uint64(8) {
			n.add(pair{At: now.Add(time.Duration(i)*5*time.Second - 40*time.Second).UnixMilli(), Written: i * written, Received: i * received})
		}
		return n
	}
	streams := func(n int, ended time.Duration) *mesh.Source { return &mesh.Source{Streams: n, Ended: now.Add(-ended)} }
	came := func(ago time.Duration) *stats.NodeStatus {
		return &stats.NodeStatus{ID: "n", Streams: 1, Last: now.Add(-ago), Interval: 5 * time.Second}
	}
	const absent = "absent"
	f := func(what string, als *mesh.Source, n *stats.NodeStatus, c *covered, wantALS, wantStats, wantCoverage string) {
		t.Helper()
		sources, nodes := map[string]mesh.Source{}, []stats.NodeStatus{}
		if als != nil {
			sources["n"] = *als
		}
		if n != nil {
			nodes = append(nodes, *n)
		}
		all := newCoverage(nil, time.Hour, began)
		if c != nil {
			all.nodes["n"] = c
		}
		values := points(all.judge(sources, nodes, now))
		for what2, want := range map[string]string{"als": wantALS, "stats": wantStats, "coverage": wantCoverage} {
			got := absent
			if v, ok := values[nodeSeries{metricLost, "n", "", what2}]; ok {
				got = fmt.Sprint(v)
			}
			require.Equal(t, want, got, "%s: %s", what, what2)
		}
	}
	f("all is well", streams(2, 0), came(time.Second), compared(10, 10), "0", "0", "0")
	f("idle is well, too", streams(2, 0), came(time.Second), compared(0, 0), "0", "0", "0")
	f("idle, the access-log stream not opened again since the gateway's restart", nil, came(time.Second), compared(0, 0), "0", "0", "0")
	f("a fifth is lost", streams(1, 0), came(time.Second), compared(10, 8), "0", "0", "1")
	f("open but silent streams while Envoy writes", streams(2, 0), came(time.Second), compared(10, 0), "1", "0", "1")
	f("Envoy writes, and no stream is there", nil, came(time.Second), compared(10, 0), "1", "0", "1")
	f("the stats lack what coverage needs", streams(1, 0), came(time.Second), nil, "0", "0", absent)
	f("they lack it, and the access-log stream has gone", streams(0, time.Minute), came(time.Second), nil, "1", "0", absent)
	f("it has only just gone: the stats may be about to go", streams(0, 6*time.Second), came(time.Second), nil, "0", "0", absent)
	f("never an access log, and nothing that says there should be", nil, came(time.Second), nil, absent, "0", absent)
	f("no stats ever", streams(1, 0), nil, nil, "0", absent, absent)
	f("the stats have gone silent", streams(1, 0), came(16*time.Second), compared(10, 10), "0", "1", absent)
	f("the proxy has ended", streams(0, 20*time.Second), came(20*time.Second), compared(10, 10), absent, absent, absent)
	f("the proxy has just ended", streams(0, 0), came(5*time.Second), compared(10, 10), "0", "0", "0")
	f("no stats since the gateway's restart", streams(1, 0), nil, compared(10, 10), "0", "1", absent)
	began = now.Add(-10 * time.Second)
	f("it was just now", streams(1, 0), nil, compared(10, 10), "0", "0", absent)
	slow := came(2 * time.Minute)
	slow.Interval = time.Minute
	f("stats once a minute", streams(1, 0), slow, nil, "0", "0", absent)
}

// The same with streams on the wire: stats end and are missed; then the access logs end, too, and nobody is missed.
func TestTelemetryLostOfStreams(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), nil)
	message := recorded(t)[0]
	als, err := client.StreamAccessLogs(t.Context())
	require.NoError(t, err)
	require.NoError(t, als.Send(message))
	conn, err := grpc.NewClient(r.config.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	sink, err := metricsv3.NewMetricsServiceClient(conn).StreamMetrics(t.Context())
	require.NoError(t, err)
	node := message.GetIdentifier().GetNode()
	for i := range 4 {
		require.NoError(t, sink.Send(&metricsv3.StreamMetricsMessage{
			Identifier: &metricsv3.StreamMetricsMessage_Identifier{Node: node},
			EnvoyMetrics: []*prometheus.MetricFamily{{
				Name: proto.String("access_logs.grpc_access_log.grpc_entries_flushed"), Type: prometheus.MetricType_COUNTER.Enum(),
				Metric: []*prometheus.Metric{{Counter: &prometheus.Counter{Value: proto.Float64(float64(10 * i))}, TimestampMs: proto.Int64(int64(i + 1))}},
			}},
		}))
	}
	until := func(what string, after time.Duration, reached func(*health) bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			h := r.health(time.Now().Add(after))[node.GetId()]
			return h != nil && reached(h)
		}, 5*time.Second, time.Millisecond, what)
	}
	until("both come, and what was written before does not arrive", 0, func(h *health) bool {
		return h.present && h.hasALS && !h.statsLost && !h.alsLost && h.Known && h.Ratio == 0 && h.thin && h.written == 30
	})
	require.NoError(t, sink.CloseSend())
	until("the stats are missed", 20*time.Second, func(h *health) bool { return h.present && h.statsLost && !h.Known })
	require.NoError(t, als.CloseSend())
	until("the proxy is gone", 20*time.Second, func(h *health) bool { return !h.present })
}
