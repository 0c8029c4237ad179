package envoy

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// metrics writes series as Istio's metric families, cumulative since each series' start. A new series comes with its zero.
func (r *envoyReceiver) metrics(batch []mesh.Series, now time.Time) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	scope := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("github.com/lockkeeper/lockkeeper/gateway/envoy")
	families := scope.Metrics()
	families.EnsureCapacity(4)

	requests := families.AppendEmpty()
	requests.SetName("istio_requests_total")
	counter := requests.SetEmptySum()
	counter.SetIsMonotonic(true)
	counter.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	counter.DataPoints().EnsureCapacity(len(batch))
	var histograms [3]pmetric.HistogramDataPointSlice
	for i, name := range [...]string{"istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"} {
		family := families.AppendEmpty()
		family.SetName(name)
		histogram := family.SetEmptyHistogram()
		histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		histograms[i] = histogram.DataPoints()
		histograms[i].EnsureCapacity(len(batch))
	}

	at := pcommon.NewTimestampFromTime(now)
	for i := range batch {
		s := &batch[i]
		start := pcommon.NewTimestampFromTime(s.Start)
		if s.New {
			r.addRequests(counter.DataPoints().AppendEmpty(), s.Labels, start, start, 0)
			for i := range histograms {
				r.addHistogram(histograms[i].AppendEmpty(), s.Labels, start, start, &mesh.Distribution{})
			}
		}
		r.addRequests(counter.DataPoints().AppendEmpty(), s.Labels, start, at, s.Requests)
		for i := range histograms {
			r.addHistogram(histograms[i].AppendEmpty(), s.Labels, start, at, &s.Distributions[i])
		}
	}
	return metrics
}

func (r *envoyReceiver) addRequests(p pmetric.NumberDataPoint, labels []mesh.Label, start, at pcommon.Timestamp, n uint64) {
	r.addLabels(p.Attributes(), labels)
	p.SetStartTimestamp(start)
	p.SetTimestamp(at)
	p.SetIntValue(int64(n))
}

func (r *envoyReceiver) addHistogram(p pmetric.HistogramDataPoint, labels []mesh.Label, start, at pcommon.Timestamp, d *mesh.Distribution) {
	r.addLabels(p.Attributes(), labels)
	p.SetStartTimestamp(start)
	p.SetTimestamp(at)
	bounds := mesh.Bounds()
	p.ExplicitBounds().FromRaw(bounds[:])
	p.BucketCounts().FromRaw(d.Buckets[:])
	var n uint64
	for _, in := range d.Buckets {
		n += in
	}
	p.SetCount(n)
	p.SetSum(d.Sum)
}

func (r *envoyReceiver) addLabels(attributes pcommon.Map, labels []mesh.Label) {
	attributes.EnsureCapacity(len(labels) + 1)
	for _, l := range labels {
		attributes.PutStr(l.Name, l.Value)
	}
	attributes.PutStr("gateway", r.config.Gateway)
}

// weight estimates the bytes of a series in OTLP: its labels once for each of four points, and three histograms.
func weight(s *mesh.Series) int {
	labels := 64 // gateway
	for _, l := range s.Labels {
		labels += len(l.Name) + len(l.Value) + 10
	}
	bytes := 4*(labels+32) + 3*(8*(19+20)+32)
	if s.New {
		return 2 * bytes
	}
	return bytes
}
