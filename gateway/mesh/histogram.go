package mesh

// bucketCount is the number of Istio's (Envoy's default) histogram buckets, the last one unbounded.
const bucketCount = 20

// Bounds are the upper bounds of a histogram's buckets but the last, as Envoy's defaults have them for milliseconds and bytes alike.
func Bounds() [bucketCount - 1]float64 {
	return [...]float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000}
}

func bucket(bounds *[bucketCount - 1]float64, v float64) int {
	i := 0
	for i < len(bounds) && v > bounds[i] {
		i++
	}
	return i
}

// quantile estimates the value below which share q of the observations lie, as PromQL's histogram_quantile does. It is 0
// without observations, and the last bound for what lies beyond it.
func quantile(q float64, buckets *[bucketCount]uint64) float64 {
	var total uint64
	for _, n := range buckets {
		total += n
	}
	if total == 0 {
		return 0
	}
	bounds := Bounds()
	rank, below := q*float64(total), 0.0
	for i, n := range buckets {
		if below+float64(n) < rank || n == 0 {
			below += float64(n)
			continue
		}
		if i == len(bounds) {
			break
		}
		lower := 0.0
		if i > 0 {
			lower = bounds[i-1]
		}
		return lower + (bounds[i]-lower)*(rank-below)/float64(n)
	}
	return bounds[len(bounds)-1]
}
