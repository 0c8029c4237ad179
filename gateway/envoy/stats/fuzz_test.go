package stats

import (
	"math"
	"slices"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/google/go-cmp/cmp"
	client "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// reading is a metric as both the walk and the generated types tell it.
type reading struct {
	Name   string
	Kind   int32
	Labels []label
	Time   int64
	Set    bool
	Value  uint64 // bits
	Count  uint64
	Sum    uint64 // bits
	Points [][2]uint64
}

// walked reads a message by the walk; false: malformed.
func walked(b []byte) (all []reading, ok bool) {
	good := true
	ok = walkMessage(b, func(b []byte) {
		var f family
		if !f.read(b) {
			good = false
			return
		}
		for _, b := range f.metrics {
			var m metric
			if !m.read(f.kind, b) {
				good = false
				return
			}
			labels, ok := readLabels(m.labels)
			good = good && ok
			r := reading{
				Name: string(f.name), Kind: f.kind, Labels: labels, Time: m.time, Set: m.set, Value: math.Float64bits(m.value),
				Count: m.count, Sum: math.Float64bits(m.sum),
			}
			for _, p := range m.points {
				r.Points = append(r.Points, [2]uint64{math.Float64bits(p.at), math.Float64bits(p.value)})
			}
			all = append(all, r)
		}
	})
	return all, ok && good
}

// generated reads a message by the generated types; false: malformed, or of a type that these do not know.
func generated(b []byte) (all []reading, ok bool) {
	var message metricsv3.StreamMetricsMessage
	if proto.Unmarshal(b, &message) != nil {
		return nil, false
	}
	for _, f := range message.GetEnvoyMetrics() {
		if len(f.ProtoReflect().GetUnknown()) > 0 {
			return nil, false
		}
		for _, m := range f.GetMetric() {
			r := reading{Name: f.GetName(), Kind: int32(f.GetType()), Time: m.GetTimestampMs()}
			for _, l := range m.GetLabel() {
				r.Labels = append(r.Labels, label{l.GetName(), l.GetValue()})
			}
			r.readValue(f.GetType(), m)
			all = append(all, r)
		}
	}
	return all, true
}

func (r *reading) readValue(kind client.MetricType, m *client.Metric) {
	switch kind {
	case client.MetricType_COUNTER:
		r.Set, r.Value = m.Counter != nil, math.Float64bits(m.GetCounter().GetValue())
	case client.MetricType_GAUGE:
		r.Set, r.Value = m.Gauge != nil, math.Float64bits(m.GetGauge().GetValue())
	case client.MetricType_UNTYPED:
		r.Set, r.Value = m.Untyped != nil, math.Float64bits(m.GetUntyped().GetValue())
	case client.MetricType_SUMMARY:
		s := m.GetSummary()
		r.Set, r.Count, r.Sum = s != nil, s.GetSampleCount(), math.Float64bits(s.GetSampleSum())
		for _, q := range s.GetQuantile() {
			r.Points = append(r.Points, [2]uint64{math.Float64bits(q.GetQuantile()), math.Float64bits(q.GetValue())})
		}
	case client.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		r.Set, r.Count, r.Sum = h != nil, h.GetSampleCount(), math.Float64bits(h.GetSampleSum())
		for _, b := range h.GetBucket() {
			r.Points = append(r.Points, [2]uint64{math.Float64bits(b.GetUpperBound()), math.Float64bits(float64(b.GetCumulativeCount()))})
		}
	}
}

// What the generated types can read, the walk reads the same; and whatever comes, nothing breaks.
func FuzzStats(f *testing.F) {
	for _, name := range []string{"tags", "plain", "deltas", "batch"} {
		for i, b := range messagesOf(f, name) {
			var m metricsv3.StreamMetricsMessage
			if err := proto.Unmarshal(b, &m); err != nil {
				f.Fatal(err)
			}
			if n := len(m.EnvoyMetrics); n > 8 { // small ones find more
				m.EnvoyMetrics = m.EnvoyMetrics[i*37%(n-8):][:8]
			}
			b, err := proto.Marshal(&m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, families := range [][]*client.MetricFamily{
		{counter("istiocustom.istio_requests_total.reporter.source.response_code.200", 1)},
		{histogram("cluster.outbound|80||a.b.svc.cluster.local.upstream_rq_time", 1, 2, 3, 4), summaryOf("h", 0.5, 3)},
	} {
		m, err := proto.Marshal(&metricsv3.StreamMetricsMessage{EnvoyMetrics: families})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m)
	}
	tags := defaultTags()
	f.Fuzz(func(t *testing.T, b []byte) {
		if want, ok := generated(b); ok {
			got, ok := walked(b)
			if !ok {
				t.Fatal("called malformed")
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(label{})); diff != "" {
				t.Fatalf("(-generated +walked):\n%s", diff)
			}
		}
		k := New(Options{Istio: true, MaxNode: 100}, time.Now())
		k.shapes.tags = func() []tag { return tags }
		s := k.Open(mesh.Node{ID: "n"})
		good := s.Add(b) == nil
		if again := s.Add(slices.Clone(b)) == nil; good != again {
			t.Fatal("the same message is good and bad")
		}
		for range 2 {
			if err := k.Flush(time.Now().Add(time.Hour), "gw1", func(m pmetric.Metrics) error {
				_, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(m)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
