package envoy

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// newMetrics returns metrics and where their families go.
func newMetrics() (pmetric.Metrics, pmetric.MetricSlice) {
	metrics := pmetric.NewMetrics()
	scope := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("github.com/lockkeeper/lockkeeper/gateway/envoy")
	return metrics, scope.Metrics()
}

// metrics writes series as Istio's metric families, under names with the prefix that is configured, cumulative since each series' start. A new series comes with its zero.
func (r *envoyReceiver) metrics(batch []mesh.Series, now time.Time) pmetric.Metrics {
	metrics, families := newMetrics()
	connections := 0
	for i := range batch {
		if batch[i].TCP {
			connections++
		}
	}
	at := times(now)
	if requests := len(batch) - connections; requests > 0 {
		r.addRequests(families, batch, requests, at)
	}
	if connections > 0 {
		r.addConnections(families, batch, connections, at)
	}
	return metrics
}

// counters writes the metrics of our own. A new one comes with its zero.
func (r *envoyReceiver) counters(batch []mesh.Counter, now time.Time) pmetric.Metrics {
	metrics, families := newMetrics()
	at := times(now)
	points := map[string]pmetric.NumberDataPointSlice{}
	for i := range batch {
		c := &batch[i]
		to, ok := points[c.Name]
		switch {
		case ok:
		case c.Gauge:
			family := families.AppendEmpty()
			family.SetName(c.Name)
			to = family.SetEmptyGauge().DataPoints()
		default:
			to = addCounter(families, c.Name, 0)
		}
		points[c.Name] = to
		if c.Gauge {
			p := to.AppendEmpty()
			r.addValue(p, c.Labels, 0, at.of(c.Ended), 0)
			p.SetDoubleValue(c.Value)
			p.SetFlags(flags(c.Ended))
			continue
		}
		start := pcommon.NewTimestampFromTime(c.Start)
		if c.New {
			r.addValue(to.AppendEmpty(), c.Labels, start, start, 0)
		}
		p := to.AppendEmpty()
		r.addValue(p, c.Labels, start, at.of(c.Ended), uint64(c.Value))
		p.SetFlags(flags(c.Ended))
	}
	return metrics
}

// times are those of the points of one flush.
type times time.Time

// of is the time of a value, or of the end of a series: a little earlier, as the next flush may start the series anew with a zero
// at the time of this one.
func (t times) of(ended bool) pcommon.Timestamp {
	if ended {
		return pcommon.NewTimestampFromTime(time.Time(t).Add(-time.Millisecond))
	}
	return pcommon.NewTimestampFromTime(time.Time(t))
}

// flags mark a point that says that there is no value any more.
func flags(ended bool) pmetric.DataPointFlags {
	return pmetric.DefaultDataPointFlags.WithNoRecordedValue(ended)
}

// addRequests writes the n series of a batch that are of requests.
func (r *envoyReceiver) addRequests(families pmetric.MetricSlice, batch []mesh.Series, n int, at times) {
	counter := addCounter(families, r.config.MetricPrefix+"istio_requests_total", n)
	var histograms [3]pmetric.HistogramDataPointSlice
	for i, name := range [...]string{"istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"} {
		family := families.AppendEmpty()
		family.SetName(r.config.MetricPrefix + name)
		histogram := family.SetEmptyHistogram()
		histogram.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		histograms[i] = histogram.DataPoints()
		histograms[i].EnsureCapacity(n)
	}
	for i := range batch {
		s := &batch[i]
		if s.TCP {
			continue
		}
		start := pcommon.NewTimestampFromTime(s.Start)
		if s.New {
			r.addValue(counter.AppendEmpty(), s.Labels, start, start, 0)
			for i := range histograms {
				r.addHistogram(histograms[i].AppendEmpty(), s.Labels, start, start, &mesh.Distribution{})
			}
		}
		p := counter.AppendEmpty()
		r.addValue(p, s.Labels, start, at.of(s.Ended), s.Requests)
		p.SetFlags(flags(s.Ended))
		for i := range histograms {
			p := histograms[i].AppendEmpty()
			r.addHistogram(p, s.Labels, start, at.of(s.Ended), &s.Distributions[i])
			p.SetFlags(flags(s.Ended))
		}
	}
}

// addConnections writes the n series of a batch that are of TCP connections.
func (r *envoyReceiver) addConnections(families pmetric.MetricSlice, batch []mesh.Series, n int, at times) {
	var counters [4]pmetric.NumberDataPointSlice
	for i, name := range [...]string{
		"istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total", "istio_tcp_received_bytes_total", "istio_tcp_sent_bytes_total",
	} {
		counters[i] = addCounter(families, r.config.MetricPrefix+name, n)
	}
	for i := range batch {
		s := &batch[i]
		if !s.TCP {
			continue
		}
		start := pcommon.NewTimestampFromTime(s.Start)
		for i, v := range [...]uint64{s.Opened, s.Requests, s.Received, s.Sent} {
			if s.New {
				r.addValue(counters[i].AppendEmpty(), s.Labels, start, start, 0)
			}
			p := counters[i].AppendEmpty()
			r.addValue(p, s.Labels, start, at.of(s.Ended), v)
			p.SetFlags(flags(s.Ended))
		}
	}
}

func addCounter(families pmetric.MetricSlice, name string, points int) pmetric.NumberDataPointSlice {
	family := families.AppendEmpty()
	family.SetName(name)
	counter := family.SetEmptySum()
	counter.SetIsMonotonic(true)
	counter.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	counter.DataPoints().EnsureCapacity(points)
	return counter.DataPoints()
}

func (r *envoyReceiver) addValue(p pmetric.NumberDataPoint, labels []mesh.Label, start, at pcommon.Timestamp, n uint64) {
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

// weight estimates the bytes of a series in OTLP: its labels once for each of four points and, of requests, three histograms.
func weight(s *mesh.Series) int {
	bytes := 4 * pointWeight(s.Labels)
	if !s.TCP {
		bytes += 3 * (8*(19+20) + 32)
	}
	if s.New {
		return 2 * bytes
	}
	return bytes
}

func counterWeight(c *mesh.Counter) int {
	if c.New {
		return 2 * pointWeight(c.Labels)
	}
	return pointWeight(c.Labels)
}

func pointWeight(labels []mesh.Label) int {
	bytes := 64 + 32 // gateway, the value and its times
	for _, l := range labels {
		bytes += len(l.Name) + len(l.Value) + 10
	}
	return bytes
}
