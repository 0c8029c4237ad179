package stats

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	client "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

const (
	benchNodes    = 1000
	benchFamilies = 700
)

// benchMessages are rounds of an Envoy with benchFamilies stats: what a real one sends, of more clusters, where about a third
// changes from round to round.
func benchMessages(b testing.TB, name string) (messages [][]byte) {
	b.Helper()
	all := messagesOf(b, name)
	var last metricsv3.StreamMetricsMessage
	require.NoError(b, proto.Unmarshal(all[len(all)-1], &last))
	var families []*client.MetricFamily
	for i := 0; len(families) < benchFamilies; i++ {
		for _, f := range last.GetEnvoyMetrics() {
			if len(families) < benchFamilies {
				f = proto.CloneOf(f)
				f.Name = proto.String(fmt.Sprintf("%s%d", f.GetName(), i))
				families = append(families, f)
			}
		}
	}
	for round := range 4 {
		for i, f := range families {
			m := f.Metric[0]
			m.TimestampMs = proto.Int64(int64(1000 * (round + 1)))
			if i%3 != 0 {
				continue
			}
			if c := m.GetCounter(); c != nil {
				c.Value = proto.Float64(c.GetValue() + 1)
			} else if g := m.GetGauge(); g != nil {
				g.Value = proto.Float64(float64(round))
			}
		}
		encoded, err := proto.Marshal(&metricsv3.StreamMetricsMessage{EnvoyMetrics: families})
		require.NoError(b, err)
		messages = append(messages, encoded)
	}
	return messages
}

// benchSink has streams of benchNodes nodes.
func benchSink(b testing.TB) (*Sink, []*Stream) {
	b.Helper()
	k := New(Options{}, time.Now())
	streams := make([]*Stream, benchNodes)
	for i := range streams {
		m, err := proto.Marshal(&metricsv3.StreamMetricsMessage{Identifier: identifier(fmt.Sprintf("sidecar~10.0.0.1~web-%d.default", i))})
		require.NoError(b, err)
		node, err := mesh.ReadNode(m, mesh.IDCSource{})
		require.NoError(b, err)
		streams[i] = k.Open(node)
	}
	return k, streams
}

// BenchmarkAdd reads messages of 1,000 Envoys in turn; an operation is one message.
func BenchmarkAdd(b *testing.B) {
	for _, name := range []string{"tags", "plain", "deltas"} {
		b.Run(name, func(b *testing.B) {
			messages := benchMessages(b, name)
			_, streams := benchSink(b)
			for _, s := range streams {
				require.NoError(b, s.Add(messages[0]))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := streams[i%benchNodes].Add(messages[1+i/benchNodes%3]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchFamilies, "ns/family")
		})
	}
}

// BenchmarkFlush hands on, encoded, what a round of 1,000 Envoys has changed; an operation is one round of 700,000 families.
func BenchmarkFlush(b *testing.B) {
	messages := benchMessages(b, "tags")
	k, streams := benchSink(b)
	now := time.Now()
	round := 0
	add := func() {
		for _, s := range streams {
			if err := s.Add(messages[round%len(messages)]); err != nil {
				b.Fatal(err)
			}
		}
		round++
	}
	points := 0
	flush := func() {
		now = now.Add(5 * time.Second)
		require.NoError(b, k.Flush(now, "gw1", func(m pmetric.Metrics) error {
			points += m.DataPointCount()
			_, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(m)
			return err
		}))
	}
	add()
	flush()
	points = 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		add()
		b.StartTimer()
		flush()
	}
	b.ReportMetric(float64(points)/float64(b.N), "points")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchNodes/benchFamilies, "ns/family")
}

// The label sets are shared: what a series of one more node takes is its own numbers.
func TestMemoryOfASeries(t *testing.T) {
	messages := benchMessages(t, "tags")
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	k, streams := benchSink(t)
	for _, s := range streams {
		require.NoError(t, s.Add(messages[0]))
		require.NoError(t, s.Add(messages[1]))
	}
	after := heap()
	n := k.Totals().Series
	each := float64(after-before) / float64(n)
	t.Logf("%d series, %.0f bytes each", n, each)
	require.Less(t, each, 250.0)
	runtime.KeepAlive(k)
	runtime.KeepAlive(streams)
}
