package stats

import (
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	prometheus "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

func TestCosts(t *testing.T) {
	counter := func(cluster string) *prometheus.MetricFamily {
		return &prometheus.MetricFamily{Name: proto.String("cluster.upstream_rq_total"), Type: prometheus.MetricType_COUNTER.Enum(), Metric: []*prometheus.Metric{{
			Label:   []*prometheus.LabelPair{{Name: proto.String("envoy.cluster_name"), Value: proto.String(cluster)}},
			Counter: &prometheus.Counter{Value: proto.Float64(1)},
		}}}
	}
	histogram := &prometheus.MetricFamily{Name: proto.String("server.initialization_time_ms"), Type: prometheus.MetricType_HISTOGRAM.Enum(), Metric: []*prometheus.Metric{{
		Histogram: &prometheus.Histogram{SampleCount: proto.Uint64(1), SampleSum: proto.Float64(3), Bucket: []*prometheus.Bucket{
			{UpperBound: proto.Float64(1), CumulativeCount: proto.Uint64(0)}, {UpperBound: proto.Float64(5), CumulativeCount: proto.Uint64(1)},
		}},
	}}}
	k := New(Options{}, time.Now())
	for _, id := range []string{"a", "b"} {
		message, err := proto.Marshal(&metricsv3.StreamMetricsMessage{
			Identifier:   &metricsv3.StreamMetricsMessage_Identifier{Node: &corev3.Node{Id: id}},
			EnvoyMetrics: []*prometheus.MetricFamily{counter("x"), counter("y"), counter("z"), histogram},
		})
		if err != nil {
			t.Fatal(err)
		}
		node, err := mesh.ReadNode(message, mesh.IDCSource{})
		if err != nil {
			t.Fatal(err)
		}
		s := k.Open(node)
		defer s.Close()
		if err := s.Add(message); err != nil {
			t.Fatal(err)
		}
	}
	want := []NameCost{{"envoy_server_initialization_time_ms", 2 * (2 + 3)}, {"envoy_cluster_upstream_rq_total", 2 * 3}}
	if costs, total := k.Costs(5); total != 16 || !slices.Equal(costs, want) {
		t.Errorf("got %v, %d in all, want %v", costs, total, want)
	}
	if costs, total := k.Costs(1); total != 16 || !slices.Equal(costs, want[:1]) {
		t.Errorf("got %v, %d in all, want the first of %v", costs, total, want)
	}
}
