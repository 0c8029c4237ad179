package envoy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
	alsload "github.com/lockkeeper/lockkeeper/gateway/mesh/load"
)

// BenchmarkMetrics is one flush of some 900 series: written as OTLP and encoded.
func BenchmarkMetrics(b *testing.B) {
	c := defaultConfig()
	r, err := newReceiver(receivertest.NewNopSettings(NewFactory().Type()), c)
	require.NoError(b, err)
	messages, err := alsload.Messages(1, 64, alsload.Shape{})
	require.NoError(b, err)
	node, err := mesh.ReadNode(messages[0], r.idc)
	require.NoError(b, err)
	stream := r.aggregator.Open(node)
	for _, m := range messages {
		require.NoError(b, stream.Add(m))
	}
	stream.Close()
	var all []mesh.Series
	require.NoError(b, r.aggregator.Flush(time.Now(), mesh.Exporter{
		MaxWeight: requestBytes, SeriesWeight: weight, CounterWeight: counterWeight,
		Series: func(batch []mesh.Series) error {
			all = append(all, batch...)
			return nil
		},
		Counters: func([]mesh.Counter) error { return nil },
	}))
	for i := range all {
		all[i].New = false
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pmetricotlp.NewExportRequestFromMetrics(r.metrics(all, time.Now())).MarshalProto(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(all)), "ns/series")
}
