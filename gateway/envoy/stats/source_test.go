package stats

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	client "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// source is an Envoy as the Sink sees it, with a clock that only its own steps move.
type source struct {
	t      *testing.T
	sink   *Sink
	node   mesh.Node
	stream *Stream
}

// inBubble runs f with a Sink and one source.
func inBubble(t *testing.T, o Options, f func(*source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Refresh == 0 {
			o.Refresh = time.Hour
		}
		k := New(o, time.Now())
		f(newSource(t, k, "n1"))
	})
}

func newSource(t *testing.T, k *Sink, id string) *source {
	t.Helper()
	first := &metricsv3.StreamMetricsMessage{Identifier: identifier(id)}
	b, err := proto.Marshal(first)
	require.NoError(t, err)
	node, err := mesh.ReadNode(b, mesh.IDCSource{})
	require.NoError(t, err)
	return &source{t: t, sink: k, node: node}
}

func identifier(id string) *metricsv3.StreamMetricsMessage_Identifier {
	return &metricsv3.StreamMetricsMessage_Identifier{Node: &corev3.Node{Id: id, Cluster: "web"}}
}

func (s *source) open() { s.stream = s.sink.Open(s.node) }

func (s *source) reopen() {
	s.stream.Close()
	s.open()
}

// send lets 5 s pass and then sends families, as one round.
func (s *source) send(families ...*client.MetricFamily) {
	s.t.Helper()
	time.Sleep(5 * time.Second)
	s.more(families...)
}

// more sends families at once, with the time of now.
func (s *source) more(families ...*client.MetricFamily) {
	s.t.Helper()
	for _, f := range families {
		for _, m := range f.Metric {
			m.TimestampMs = proto.Int64(time.Now().UnixMilli())
		}
	}
	b, err := proto.Marshal(&metricsv3.StreamMetricsMessage{EnvoyMetrics: families})
	require.NoError(s.t, err)
	require.NoError(s.t, s.stream.Add(b))
}

// flush returns what a flush hands on, as lines: name, value or "gone", and since when it counts relative to the point's time.
func (s *source) flush() []string {
	s.t.Helper()
	var lines []string
	require.NoError(s.t, s.sink.Flush(time.Now(), "gw1", func(m pmetric.Metrics) error {
		for _, family := range m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			lines = append(lines, describe(family)...)
		}
		return nil
	}))
	slices.Sort(lines)
	return lines
}

func describe(family pmetric.Metric) (lines []string) {
	add := func(flags pmetric.DataPointFlags, start, at pcommon.Timestamp, value any) {
		text := fmt.Sprint(value)
		if flags.NoRecordedValue() {
			text = "gone"
		}
		age := "?"
		if start != 0 {
			age = at.AsTime().Sub(start.AsTime()).String()
		}
		lines = append(lines, strings.TrimPrefix(family.Name(), "envoy_")+" "+text+" "+age)
	}
	switch family.Type() {
	case pmetric.MetricTypeSum:
		for _, p := range family.Sum().DataPoints().All() {
			add(p.Flags(), p.StartTimestamp(), p.Timestamp(), p.DoubleValue())
		}
	case pmetric.MetricTypeGauge:
		for _, p := range family.Gauge().DataPoints().All() {
			add(p.Flags(), p.StartTimestamp(), p.Timestamp(), p.DoubleValue())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range family.Histogram().DataPoints().All() {
			add(p.Flags(), p.StartTimestamp(), p.Timestamp(), fmt.Sprint("h", p.BucketCounts().AsRaw(), p.Sum()))
		}
	case pmetric.MetricTypeSummary:
		for _, p := range family.Summary().DataPoints().All() {
			add(p.Flags(), p.StartTimestamp(), p.Timestamp(), fmt.Sprint("s", p.Count(), p.QuantileValues().At(0).Value()))
		}
	}
	return lines
}

func counter(name string, value float64) *client.MetricFamily {
	return &client.MetricFamily{
		Name: &name, Type: client.MetricType_COUNTER.Enum(),
		Metric: []*client.Metric{{Counter: &client.Counter{Value: &value}}},
	}
}

func gauge(name string, value float64) *client.MetricFamily {
	return &client.MetricFamily{
		Name: &name, Type: client.MetricType_GAUGE.Enum(),
		Metric: []*client.Metric{{Gauge: &client.Gauge{Value: &value}}},
	}
}

// histogram has the bounds 1 and 10.
func histogram(name string, upTo1, upTo10, count uint64, sum float64) *client.MetricFamily {
	bucket := func(bound float64, n uint64) *client.Bucket {
		return &client.Bucket{UpperBound: &bound, CumulativeCount: &n}
	}
	return &client.MetricFamily{
		Name: &name, Type: client.MetricType_HISTOGRAM.Enum(),
		Metric: []*client.Metric{{Histogram: &client.Histogram{
			SampleCount: &count, SampleSum: &sum, Bucket: []*client.Bucket{bucket(1, upTo1), bucket(10, upTo10)},
		}}},
	}
}

func summaryOf(name string, median float64, count uint64) *client.MetricFamily {
	return &client.MetricFamily{
		Name: &name, Type: client.MetricType_SUMMARY.Enum(),
		Metric: []*client.Metric{{Summary: &client.Summary{
			SampleCount: &count, Quantile: []*client.Quantile{{Quantile: proto.Float64(0.5), Value: &median}},
		}}},
	}
}
