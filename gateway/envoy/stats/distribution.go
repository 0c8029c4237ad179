package stats

import (
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// distribution is the value of a histogram or summary. Envoy sends what it saw since its last flush, whatever
// report_counters_as_deltas says: histograms are added up here. Of a summary the quantiles are those of the last flush with
// any samples.
type distribution struct {
	count  uint64
	sum    float64
	at     []float64 // upper bounds of the buckets, or quantiles; shared
	values []float64 // cumulated counts of the buckets, or values of the quantiles
}

// add takes in a metric; false: it makes no sense, and nothing has changed.
func (d *distribution) add(of *identity, m *metric) bool {
	points := m.points
	if of.kind == typeHistogram {
		if n := len(points); n > 0 && math.IsInf(points[n-1].at, 1) {
			points = points[:n-1]
		}
		if !bucketsMakeSense(points, m.count) {
			return false
		}
	}
	if math.IsNaN(m.sum) || math.IsInf(m.sum, 0) {
		return false
	}
	if !slices.EqualFunc(d.at, points, func(at float64, p point) bool { return at == p.at }) {
		*d = distribution{at: of.bounds(points), values: make([]float64, len(points))}
	}
	d.count += m.count
	d.sum += m.sum
	for i, p := range points {
		switch {
		case of.kind == typeHistogram:
			d.values[i] += p.value
		case m.count > 0:
			d.values[i] = p.value
		}
	}
	return true
}

func bucketsMakeSense(points []point, count uint64) bool {
	below := point{at: math.Inf(-1)}
	for _, p := range points {
		if !(p.at > below.at) || math.IsInf(p.at, 0) || p.value < below.value {
			return false
		}
		below = p
	}
	return below.value <= float64(count)
}

// bounds returns where the points are, from what the nodes share if they agree.
func (i *identity) bounds(points []point) []float64 {
	if shared := i.shared.Load(); shared != nil && slices.EqualFunc(*shared, points, func(at float64, p point) bool { return at == p.at }) {
		return *shared
	}
	at := make([]float64, len(points))
	for i, p := range points {
		at[i] = p.at
	}
	i.shared.Store(&at)
	return at
}

func (d *distribution) write(p pmetric.HistogramDataPoint, say what) {
	p.ExplicitBounds().FromRaw(d.at)
	counts := make([]uint64, len(d.at)+1)
	if say == recorded {
		below := 0.0
		for i, v := range d.values {
			counts[i] = uint64(v - below)
			below = v
		}
		counts[len(d.at)] = d.count - uint64(below)
		p.SetCount(d.count)
		p.SetSum(d.sum)
	} else {
		p.SetSum(0)
	}
	p.BucketCounts().FromRaw(counts)
}

func (d *distribution) writeQuantiles(p pmetric.SummaryDataPoint, say what) {
	for i, q := range d.at {
		v := p.QuantileValues().AppendEmpty()
		v.SetQuantile(q)
		if say == recorded {
			v.SetValue(d.values[i])
		}
	}
	if say == recorded {
		p.SetCount(d.count)
		p.SetSum(d.sum)
	}
}
