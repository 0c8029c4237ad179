package storage

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// allKinds has eleven data points, in metrics of every kind.
func allKinds() pmetric.Metrics {
	data := pmetric.NewMetrics()
	for range 2 {
		metrics := data.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
		metrics.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
		metrics.AppendEmpty().SetEmptySum().DataPoints().AppendEmpty().SetDoubleValue(2)
		metrics.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty().SetCount(3)
		metrics.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty().SetCount(4)
		metrics.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty().SetCount(5)
		metrics.AppendEmpty().SetName("empty")
	}
	data.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().AppendEmpty().SetIntValue(6)
	return data
}

func someLogs() plog.Logs {
	data := plog.NewLogs()
	for range 3 {
		data.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("hello")
	}
	return data
}

// A queue on disk is read as it was written: by this gateway, by a Collector, and bare as Collectors wrote it once.
func TestQueueEncoding(t *testing.T) {
	f := func(e encoding, encoded []byte, want *request) {
		t.Helper()
		_, got, err := e.Unmarshal(encoded)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	metrics, err := encodeMetrics(t.Context(), allKinds())
	require.NoError(t, err)
	require.Equal(t, 11, metrics.ItemsCount())
	own, err := metricsEncoding().Marshal(t.Context(), metrics)
	require.NoError(t, err)
	f(metricsEncoding(), own, metrics.(*request))
	f(metricsEncoding(), metrics.(*request).data, metrics.(*request))
	f(metricsEncoding(), nil, &request{})

	logs, err := encodeLogs(t.Context(), someLogs())
	require.NoError(t, err)
	require.Equal(t, 3, logs.ItemsCount())
	ownLogs, err := logsEncoding().Marshal(t.Context(), logs)
	require.NoError(t, err)
	f(logsEncoding(), ownLogs, logs.(*request))

	// what the Collector makes of what is written here: it adds a context, which is empty
	collectors := xexporterhelper.NewMetricsQueueBatchSettings().Encoding
	_, read, err := collectors.Unmarshal(own)
	require.NoError(t, err)
	require.Equal(t, 11, read.ItemsCount())
	theirs, err := collectors.Marshal(context.Background(), read)
	require.NoError(t, err)
	f(metricsEncoding(), theirs, metrics.(*request))
}

// FuzzQueueEncoding holds that no file breaks the reader, and that it counts as the Collector does.
func FuzzQueueEncoding(f *testing.F) {
	metrics, err := encodeMetrics(context.Background(), allKinds())
	require.NoError(f, err)
	own, err := metricsEncoding().Marshal(context.Background(), metrics)
	require.NoError(f, err)
	f.Add(own)
	f.Add(metrics.(*request).data)
	f.Add(own[:7])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, got, err := metricsEncoding().Unmarshal(b)
		if err != nil {
			return
		}
		if data, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(got.(*request).data); err == nil && data.DataPointCount() > got.ItemsCount() {
			t.Errorf("%d items, want %d", got.ItemsCount(), data.DataPointCount())
		}
	})
}

func TestBatchesAreMergedByTheCollector(t *testing.T) {
	stored := make(chan int, 10)
	conn := servePlugin(t, sdk.Storage{WriteMetrics: func(_ context.Context, m sdk.Metrics) error {
		data, err := m.Decode()
		stored <- data.DataPointCount()
		return err
	}})
	cfg, err := load(t, `{plugin: x, sending_queue: {batch: {flush_timeout: 10s, min_size: 22, sizer: items}}}`)
	require.NoError(t, err)
	e := create(t, cfg, host{conn: conn})
	require.NoError(t, e.ConsumeMetrics(t.Context(), allKinds()))
	require.NoError(t, e.ConsumeMetrics(t.Context(), allKinds()))
	require.Equal(t, 22, <-stored)
	require.NoError(t, e.Shutdown(t.Context()))
}

// BenchmarkQueue is what a request goes through in a queue on disk, but for the disk.
func BenchmarkQueue(b *testing.B) {
	data := pmetric.NewMetrics()
	points := data.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptySum().DataPoints()
	for range 2000 {
		p := points.AppendEmpty()
		p.SetIntValue(1)
		for range 28 {
			p.Attributes().PutStr("destination_service_name", "svc-1.default.svc.cluster.local")
		}
	}
	f := func(name string, encode func() xexporterhelper.Request, e xexporterhelper.QueueBatchSettings, send func(xexporterhelper.Request)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := encode()
				_ = r.BytesSize()
				file, err := e.Encoding.Marshal(b.Context(), r)
				require.NoError(b, err)
				_, r, err = e.Encoding.Unmarshal(file)
				require.NoError(b, err)
				_ = r.ItemsCount()
				send(r)
			}
		})
	}
	encode := func() xexporterhelper.Request {
		r, err := encodeMetrics(b.Context(), data)
		require.NoError(b, err)
		return r
	}
	f("encoded", encode, xexporterhelper.QueueBatchSettings{Encoding: metricsEncoding()}, func(xexporterhelper.Request) {})
	collectors := xexporterhelper.NewMetricsQueueBatchSettings()
	_, decoded, err := collectors.Encoding.Unmarshal(encode().(*request).data)
	require.NoError(b, err)
	f("decoded", func() xexporterhelper.Request { return decoded }, collectors, func(r xexporterhelper.Request) {
		_, err := collectors.Encoding.Marshal(b.Context(), r) // what the exporter did itself
		require.NoError(b, err)
	})
}
