package main

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/protoparser/opentelemetry/pb"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// sameAsDecoder tells whether walk reads body, and fails if VictoriaMetrics's decoder makes other rows of it.
func sameAsDecoder(t *testing.T, body []byte) bool {
	t.Helper()
	walked, decoded := newRequest(discard), newRequest(discard)
	if !walked.walk(body) {
		return false
	}
	options := pb.DecodeMetricsOptions{DisableScopeMetadata: true, ResourceAttributesList: decoded.leftOut}
	if err := pb.DecodeMetricsData(body, decoded, options); err != nil {
		t.Fatalf("walk reads what the decoder refuses: %v", err)
	}
	same := slices.EqualFunc(walked.rows, decoded.rows, func(a, b storage.MetricRow) bool {
		return bytes.Equal(a.MetricNameRaw, b.MetricNameRaw) && a.Timestamp == b.Timestamp && math.Float64bits(a.Value) == math.Float64bits(b.Value)
	})
	if !same {
		t.Errorf("rows:\n%v\nwant\n%v", walked.rows, decoded.rows)
	}
	if !slices.Equal(walked.metadata, decoded.metadata) {
		t.Errorf("metadata:\n%v\nwant\n%v", walked.metadata, decoded.metadata)
	}
	return true
}

func discard([]storage.MetricRow) error { return nil }

// everyKind has a metric of each kind that walk reads.
func everyKind() (pmetric.Metrics, pmetric.MetricSlice) {
	m := pmetric.NewMetrics()
	resource := m.ResourceMetrics().AppendEmpty()
	resource.SetSchemaUrl("https://opentelemetry.io/schemas/1.27.0")
	_ = resource.Resource().Attributes().FromRaw(map[string]any{"service.name": "shop", "server.address": "localhost", "zone": "a"})
	resource.Resource().SetDroppedAttributesCount(1)
	scope := resource.ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("some.library")
	scope.SetSchemaUrl("x")
	metrics := scope.Metrics()
	add := func(name string) pmetric.Metric {
		metric := metrics.AppendEmpty()
		metric.SetName(name)
		metric.SetUnit("ms")
		metric.SetDescription("what it is")
		return metric
	}
	fill := func(attributes pcommon.Map) {
		_ = attributes.FromRaw(map[string]any{
			"reporter": "source", "http.route": "/x", "zone": "b", "empty": "", "null": nil, "number": 5, "negative": -1, "yes": true,
			"no": false, "double": 2.5, "nan": math.NaN(), "long": strings.Repeat("é", 200), "not utf8": "\xff", "1": "digit",
		})
	}
	for _, value := range []float64{0, -1.5, math.NaN(), math.Inf(1)} {
		point := add("http.server-requests").SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetStartTimestamp(1e18)
		point.SetTimestamp(1e18 + 1)
		point.SetDoubleValue(value)
		point.Exemplars().AppendEmpty().SetIntValue(1)
		fill(point.Attributes())
	}
	sum := add("istio_requests_total").SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for i := range 3 {
		point := sum.DataPoints().AppendEmpty()
		point.SetTimestamp(pcommon.Timestamp(1e18 + i))
		point.SetIntValue(int64(i - 1))
		point.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(i == 2))
		point.Attributes().PutInt("i", int64(i))
	}
	add("up_down").SetEmptySum().DataPoints().AppendEmpty()
	histogram := add("istio_request_duration_milliseconds").SetEmptyHistogram()
	for _, hasSum := range []bool{true, false} {
		point := histogram.DataPoints().AppendEmpty()
		point.SetTimestamp(1e18)
		point.SetCount(6)
		point.SetMin(0.1)
		point.SetMax(7)
		if hasSum {
			point.SetSum(42.5)
		}
		point.Exemplars().AppendEmpty().SetIntValue(1)
		point.ExplicitBounds().FromRaw([]float64{-1, 0.005, 1, 1e21})
		point.BucketCounts().FromRaw([]uint64{1, 2, 0, 3, math.MaxUint64})
		fill(point.Attributes())
	}
	histogram.DataPoints().AppendEmpty().Attributes().PutStr("no", "buckets")
	ended := histogram.DataPoints().AppendEmpty()
	ended.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	ended.BucketCounts().FromRaw([]uint64{0})
	summary := add("envoy_listener_connection_length_ms").SetEmptySummary().DataPoints().AppendEmpty()
	summary.SetCount(2)
	summary.SetSum(3)
	for _, quantile := range []float64{0, 0.5, 0.999} {
		q := summary.QuantileValues().AppendEmpty()
		q.SetQuantile(quantile)
		q.SetValue(quantile * 10)
	}
	fill(summary.Attributes())
	add("no_data")
	for _, kind := range []string{"unknown", "info", "stateset", "other"} {
		typed := add("typed_" + kind)
		typed.SetEmptyGauge().DataPoints().AppendEmpty()
		typed.Metadata().PutStr("prometheus.type", kind)
	}
	return m, metrics
}

func encode(t testing.TB, m pmetric.Metrics) []byte {
	t.Helper()
	body, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestWalkIsTheDecoder(t *testing.T) {
	m, _ := everyKind()
	if !sameAsDecoder(t, encode(t, m)) {
		t.Error("left to the decoder")
	}
	if !sameAsDecoder(t, nil) {
		t.Error("an empty request is left to the decoder")
	}
}

// What walk does not read is read by VictoriaMetrics's decoder, whole and once.
func TestDecoderReadsTheRest(t *testing.T) {
	f := func(change func(pmetric.Metric), rows int) {
		t.Helper()
		m, metrics := everyKind()
		metrics.RemoveIf(func(metric pmetric.Metric) bool { return metric.Name() != "http.server-requests" })
		metric := metrics.AppendEmpty()
		metric.SetName("rest")
		change(metric)
		body := encode(t, m)
		if sameAsDecoder(t, body) {
			t.Error("walk reads it")
		}
		r := newRequest(discard)
		if err := r.read(body); err != nil {
			t.Fatal(err)
		}
		if len(r.rows) != 4+rows || len(r.metadata) != 5 {
			t.Errorf("%d rows, %d metrics", len(r.rows), len(r.metadata))
		}
	}
	point := func(change func(pcommon.Map)) func(pmetric.Metric) {
		return func(m pmetric.Metric) { change(m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes()) }
	}
	// exponential histogram
	f(func(m pmetric.Metric) {
		point := m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
		point.SetSum(1)
		point.SetZeroCount(1)
		point.Positive().BucketCounts().FromRaw([]uint64{1, 0, 2})
	}, 5)
	// attributes that have parts
	f(point(func(a pcommon.Map) { a.PutEmptyBytes("bytes").FromRaw([]byte("x")) }), 1)
	f(point(func(a pcommon.Map) { a.PutEmptySlice("list").AppendEmpty().SetInt(1) }), 1)
	f(point(func(a pcommon.Map) { a.PutEmptyMap("map").PutStr("key", "value") }), 1)
	// attributes that stand for the metric's name
	f(point(func(a pcommon.Map) { a.PutStr("__name__", "other") }), 1)
	// labels beyond VictoriaMetrics's limits
	f(point(func(a pcommon.Map) { a.PutStr("value", strings.Repeat("x", maxLabelValue+1)) }), 0)
	f(point(func(a pcommon.Map) { a.PutStr(strings.Repeat("x", maxLabelName+1), "name") }), 0)
	f(point(func(a pcommon.Map) {
		for i := range maxLabels {
			a.PutStr("l"+strings.Repeat("x", i), "many")
		}
	}), 0)
	// a histogram whose buckets have no bounds
	f(func(m pmetric.Metric) {
		m.SetEmptyHistogram().DataPoints().AppendEmpty().BucketCounts().FromRaw([]uint64{1, 2})
	}, 0)
}

// As many labels as VictoriaMetrics takes, and as long ones, are read by walk.
func TestWalkReadsUpToTheLimits(t *testing.T) {
	m := pmetric.NewMetrics()
	metric := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("limits")
	attributes := metric.SetEmptyGauge().DataPoints().AppendEmpty().Attributes()
	for i := range maxLabels - 2 {
		attributes.PutStr("l"+strings.Repeat("x", i), "many")
	}
	attributes.PutStr(strings.Repeat("x", maxLabelName), strings.Repeat("x", maxLabelValue))
	if !sameAsDecoder(t, encode(t, m)) {
		t.Error("left to the decoder")
	}
}

// A histogram is its labels times its buckets: what that takes is bounded.
func TestRowsAreStoredBeforeTheyAreTooMany(t *testing.T) {
	m := pmetric.NewMetrics()
	metric := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("wide")
	point := metric.SetEmptyHistogram().DataPoints().AppendEmpty()
	point.Attributes().PutStr("long", strings.Repeat("x", maxLabelValue))
	const buckets = 3 * maxPending / maxLabelValue
	point.BucketCounts().FromRaw(make([]uint64, buckets))
	point.ExplicitBounds().FromRaw(make([]float64, buckets-1))
	stored, most := 0, 0
	r := newRequest(nil)
	r.write = func(rows []storage.MetricRow) error {
		stored, most = stored+len(rows), max(most, len(r.raw))
		return nil
	}
	if err := r.read(encode(t, m)); err != nil {
		t.Fatal(err)
	}
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	if stored != buckets+1 || most > maxPending+2*maxLabelValue {
		t.Errorf("%d rows stored, %d bytes at a time", stored, most)
	}
}

// Whatever comes in, walk agrees with VictoriaMetrics's decoder or leaves it to that.
func FuzzWalk(f *testing.F) {
	m, metrics := everyKind()
	f.Add([]byte(nil))
	f.Add(encode(f, m))
	for i := range metrics.Len() {
		one := pmetric.NewMetrics()
		metrics.At(i).CopyTo(one.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty())
		f.Add(encode(f, one))
	}
	f.Fuzz(func(t *testing.T, body []byte) { sameAsDecoder(t, body) })
}

// Reading a request again and again takes no memory.
func TestWalkDoesNotAllocate(t *testing.T) {
	m, _ := everyKind()
	body := encode(t, m)
	r := newRequest(discard)
	allocated := testing.AllocsPerRun(100, func() {
		r.reset()
		if !r.walk(body) {
			t.Fatal("left to the decoder")
		}
	})
	if allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
}
