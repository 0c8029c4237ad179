package sdktest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// export sends a request that is encoded already.
func export(ctx context.Context, conn grpc.ClientConnInterface, method string, request []byte) error {
	return conn.Invoke(ctx, method, request, new([]byte), grpc.ForceCodecV2(bytesCodec{}))
}

// bytesCodec sends and receives messages as bytes.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	request, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not []byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(request)}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	reply, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not *[]byte", v)
	}
	*reply = data.Materialize()
	return nil
}

// odd are strings that come in from outside sooner or later.
func odd() []string {
	return []string{"", " ", "ünïcödé 水", "quote\"back\\slash\nnew line", "\x00", strings.Repeat("long", 300)}
}

func metricsRequests() (map[string][]byte, error) {
	requests := map[string]pmetric.Metrics{"all kinds": pmetric.NewMetrics(), "odd strings": pmetric.NewMetrics(), "no points": pmetric.NewMetrics()}
	now := pcommon.NewTimestampFromTime(time.Now())

	all := metricsOf(requests["all kinds"])
	gauge := named(all, "conformance_gauge").SetEmptyGauge().DataPoints().AppendEmpty()
	gauge.SetTimestamp(now)
	gauge.SetDoubleValue(1.5)
	sum := named(all, "conformance_total").SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	point := sum.DataPoints().AppendEmpty()
	point.SetTimestamp(now)
	point.SetIntValue(7)
	stale := sum.DataPoints().AppendEmpty()
	stale.SetTimestamp(now)
	stale.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	stale.Attributes().PutStr("stale", "yes")
	histogram := named(all, "conformance_milliseconds").SetEmptyHistogram()
	histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	buckets := histogram.DataPoints().AppendEmpty()
	buckets.SetTimestamp(now)
	buckets.SetCount(6)
	buckets.SetSum(42)
	buckets.ExplicitBounds().FromRaw([]float64{1, 10})
	buckets.BucketCounts().FromRaw([]uint64{1, 2, 3})
	exponential := named(all, "conformance_exponential").SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
	exponential.SetTimestamp(now)
	exponential.SetCount(1)
	exponential.Positive().BucketCounts().FromRaw([]uint64{1})
	summary := named(all, "conformance_summary").SetEmptySummary().DataPoints().AppendEmpty()
	summary.SetTimestamp(now)
	summary.QuantileValues().AppendEmpty().SetQuantile(0.5)

	strange := metricsOf(requests["odd strings"])
	for i, text := range odd() {
		point := named(strange, "conformance_odd").SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetTimestamp(now)
		point.Attributes().PutStr("value", text)
		point.Attributes().PutStr(fmt.Sprintf("key.%d/%s", i, text), "x")
		point.Attributes().PutEmptySlice("list").AppendEmpty().SetInt(1)
		point.Attributes().PutEmptyMap("map").PutBool("deep", true)
	}
	named(metricsOf(requests["no points"]), "conformance_empty").SetEmptySum()

	encoded := map[string][]byte{}
	for what, m := range requests {
		request, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
		if err != nil {
			return nil, err
		}
		encoded[what] = request
	}
	return encoded, nil
}

func metricsOf(m pmetric.Metrics) pmetric.MetricSlice {
	resource := m.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "conformance")
	resource.Resource().Attributes().PutStr("service.instance.id", "1")
	scope := resource.ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("sdktest")
	return scope.Metrics()
}

func named(metrics pmetric.MetricSlice, name string) pmetric.Metric {
	m := metrics.AppendEmpty()
	m.SetName(name)
	return m
}

func logsRequests() (map[string][]byte, error) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "conformance")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	for _, text := range odd() {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.SetSeverityNumber(plog.SeverityNumberInfo)
		record.Body().SetStr("conformance " + text)
		record.Attributes().PutStr("value", text)
	}
	request, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	return map[string][]byte{"odd strings": request}, err
}

// plainMetrics is a request of so many points.
func plainMetrics(points int) ([]byte, error) {
	m := pmetric.NewMetrics()
	gauge := named(metricsOf(m), "conformance_plain").SetEmptyGauge()
	now := pcommon.NewTimestampFromTime(time.Now())
	for i := range points {
		point := gauge.DataPoints().AppendEmpty()
		point.SetTimestamp(now)
		point.SetIntValue(int64(i))
		point.Attributes().PutStr("number", strconv.Itoa(i))
	}
	return pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
}

// plainLogs is a request of so many records.
func plainLogs(records int) ([]byte, error) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "conformance")
	scope := resource.ScopeLogs().AppendEmpty()
	now := pcommon.NewTimestampFromTime(time.Now())
	for i := range records {
		record := scope.LogRecords().AppendEmpty()
		record.SetTimestamp(now)
		record.Body().SetStr("conformance plain " + strconv.Itoa(i))
	}
	return plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
}
