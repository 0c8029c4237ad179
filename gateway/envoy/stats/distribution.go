package stats

import (
	"math"
	"slices"
)

// distribution is the value of a histogram or summary.
type distribution struct {
	count  uint64
	sum    float64
	at     []float64 // upper bounds of the buckets, or quantiles
	values []float64 // cumulated counts of the buckets, or values of the quantiles
}

// read takes in a metric; false: it makes no sense, and nothing has changed.
func (d *distribution) read(kind int32, m *metric) bool {
	points := m.points
	if kind == typeHistogram {
		if n := len(points); n > 0 && math.IsInf(points[n-1].at, 1) {
			points = points[:n-1]
		}
		below := point{at: math.Inf(-1)}
		for _, p := range points {
			if !(p.at > below.at) || math.IsInf(p.at, 0) || p.value < below.value {
				return false
			}
			below = p
		}
		if below.value > float64(m.count) {
			return false
		}
	}
	d.count, d.sum = m.count, m.sum
	same := slices.EqualFunc(d.at, points, func(at float64, p point) bool { return at == p.at })
	if !same {
		d.at = make([]float64, len(points))
		d.values = make([]float64, len(points))
	}
	for i, p := range points {
		d.at[i], d.values[i] = p.at, p.value
	}
	return true
}
