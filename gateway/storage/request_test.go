package storage

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"

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

func newEncoding(path [][]protowire.Number) encoding {
	return encoding{path: path, ages: newAges()}
}

// A queue on disk is read as it was written: by this gateway, by a Collector, and bare as Collectors wrote it once.
func TestQueueEncoding(t *testing.T) {
	f := func(path [][]protowire.Number, encoded []byte, want *request) {
		t.Helper()
		_, got, err := newEncoding(path).Unmarshal(encoded)
		require.NoError(t, err)
		require.Equal(t, want.data, got.(*request).data)
		require.Equal(t, want.items, got.ItemsCount())
	}
	metrics, err := encodeMetrics(t.Context(), allKinds())
	require.NoError(t, err)
	require.Equal(t, 11, metrics.ItemsCount())
	own, err := newEncoding(metricsPath()).Marshal(t.Context(), metrics)
	require.NoError(t, err)
	f(metricsPath(), own, metrics.(*request))
	f(metricsPath(), metrics.(*request).data, metrics.(*request))
	f(metricsPath(), nil, &request{})

	logs, err := encodeLogs(t.Context(), someLogs())
	require.NoError(t, err)
	require.Equal(t, 3, logs.ItemsCount())
	ownLogs, err := newEncoding(logsPath()).Marshal(t.Context(), logs)
	require.NoError(t, err)
	f(logsPath(), ownLogs, logs.(*request))

	// what the Collector makes of what is written here: it skips the time and adds a context, which is empty
	collectors := xexporterhelper.NewMetricsQueueBatchSettings().Encoding
	_, read, err := collectors.Unmarshal(own)
	require.NoError(t, err)
	require.Equal(t, 11, read.ItemsCount())
	theirs, err := collectors.Marshal(context.Background(), read)
	require.NoError(t, err)
	f(metricsPath(), theirs, metrics.(*request))
	_, read, err = xexporterhelper.NewLogsQueueBatchSettings().Encoding.Unmarshal(ownLogs)
	require.NoError(t, err)
	require.Equal(t, 3, read.ItemsCount())

	// all of it: the Collector writes the fields that it knows and no others
	_, decoded, err := collectors.Unmarshal(metrics.(*request).data)
	require.NoError(t, err)
	want, err := collectors.Marshal(context.Background(), decoded)
	require.NoError(t, err)
	require.Equal(t, want, theirs)
}

// The time at which a request was queued stays with it through queues and gateways; one without a time counts from when it is read.
func TestQueuedTimeIsKept(t *testing.T) {
	r := &request{data: []byte("x")}
	encoded, err := newEncoding(nil).Marshal(t.Context(), r)
	require.NoError(t, err)
	require.NotZero(t, r.queued)
	again, err := newEncoding(nil).Marshal(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, encoded, again)
	f := func(b []byte, check func(queued int64)) {
		t.Helper()
		e := newEncoding(logsPath())
		_, read, err := e.Unmarshal(b)
		require.NoError(t, err)
		check(read.(*request).queued)
		require.Contains(t, e.ages.waiting, read.(*request).queued)
	}
	logs, err := encodeLogs(t.Context(), someLogs())
	require.NoError(t, err)
	encoded, err = newEncoding(nil).Marshal(t.Context(), logs)
	require.NoError(t, err)
	f(encoded, func(queued int64) { require.Equal(t, logs.(*request).queued, queued) })

	before := time.Now().UnixNano()
	now := func(queued int64) {
		require.GreaterOrEqual(t, queued, before)
		require.LessOrEqual(t, queued, time.Now().UnixNano())
	}
	f(logs.(*request).data, now)
	// as gateways wrote it before there was a time
	f(protowire.AppendBytes(protowire.AppendTag(versionOne(), dataField, protowire.BytesType), logs.(*request).data), now)
}

// FuzzQueueEncoding holds that no file breaks the reader, and that it counts as the Collector does.
func FuzzQueueEncoding(f *testing.F) {
	metrics, err := encodeMetrics(context.Background(), allKinds())
	require.NoError(f, err)
	own, err := newEncoding(metricsPath()).Marshal(context.Background(), metrics)
	require.NoError(f, err)
	f.Add(own)
	f.Add(metrics.(*request).data)
	f.Add(own[:7])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, got, err := newEncoding(metricsPath()).Unmarshal(b)
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
				e.ReferenceCounter.Unref(r)
			}
		})
	}
	encode := func() xexporterhelper.Request {
		r, err := encodeMetrics(b.Context(), data)
		require.NoError(b, err)
		return r
	}
	own := newEncoding(metricsPath())
	f("encoded", encode, xexporterhelper.QueueBatchSettings{Encoding: own, ReferenceCounter: own.ages}, func(xexporterhelper.Request) {})
	collectors := xexporterhelper.NewMetricsQueueBatchSettings()
	_, decoded, err := collectors.Encoding.Unmarshal(encode().(*request).data)
	require.NoError(b, err)
	f("decoded", func() xexporterhelper.Request { return decoded }, collectors, func(r xexporterhelper.Request) {
		_, err := collectors.Encoding.Marshal(b.Context(), r) // what the exporter did itself
		require.NoError(b, err)
	})
}
