package main

import (
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/bytesutil"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/prompb"
)

// walked is what walk knows of the data point that it reads, and of what that is in.
type walked struct {
	metric       string // name, as it is stored
	encoded      []byte // labels, as storage.MarshalMetricNameRaw writes them
	count        int    // of labels
	shared       int    // bytes of encoded that are the resource's
	sharedCount  int
	milliseconds int64
	flags        uint64
	known        [maxLabels]label // by position: of the data point before, which mostly has the same
	position     int
	resource     label // of one of its attributes
	quantiles    [][2]float64
}

// walk makes rows of a request as nearly all are: sums, gauges, histograms and summaries with attributes that are
// strings, booleans or numbers, each field written once. It returns false for any other, malformed ones too, perhaps with
// rows of what comes before: pb.DecodeMetricsData reads those. On what walk reads the two agree.
func (r *request) walk(b []byte) bool {
	for len(b) > 0 {
		tag, _, data, rest := field(b)
		if tag != 1<<3|length || !r.walkResourceMetrics(data) {
			return false
		}
		b = rest
	}
	return true
}

func (r *request) walkResourceMetrics(b []byte) bool {
	r.encoded, r.count, r.shared, r.sharedCount = r.encoded[:0], 0, 0, 0
	var seen fields
	for left := b; len(left) > 0; {
		tag, _, data, rest := field(left)
		if tag == 0 || tag == 1<<3|length && !(seen.first(tag) && r.walkResource(data)) {
			return false
		}
		left = rest
	}
	for len(b) > 0 {
		tag, _, data, rest := field(b)
		switch tag {
		case 1<<3 | length, 3<<3 | length: // read before; schema URL
		case 2<<3 | length:
			if !r.walkScopeMetrics(data) {
				return false
			}
		default:
			return false
		}
		b = rest
	}
	return true
}

func (r *request) walkResource(b []byte) bool {
	for len(b) > 0 {
		tag, _, data, rest := field(b)
		switch tag {
		case 1<<3 | length:
			if !r.resource.of(data, r.leftOut) || !r.append(&r.resource) {
				return false
			}
		case 2<<3 | varint: // number of attributes dropped
		default:
			return false
		}
		b = rest
	}
	r.shared, r.sharedCount = len(r.encoded), r.count
	return true
}

func (r *request) walkScopeMetrics(b []byte) bool {
	for len(b) > 0 {
		tag, _, data, rest := field(b)
		switch tag {
		case 1<<3 | length, 3<<3 | length: // scope, schema URL
		case 2<<3 | length:
			if !r.walkMetric(data) {
				return false
			}
		default:
			return false
		}
		b = rest
	}
	return true
}

func (r *request) walkMetric(b []byte) bool {
	var name, description, unit, points, metadata []byte
	var kind byte
	var seen fields
	for len(b) > 0 {
		tag, _, data, rest := field(b)
		switch tag {
		case 1<<3 | length:
			name = data
		case 2<<3 | length:
			description = data
		case 3<<3 | length:
			unit = data
		case 5<<3 | length, 7<<3 | length, 9<<3 | length, 11<<3 | length:
			if kind != 0 {
				return false
			}
			kind, points = tag>>3, data
		case 12<<3 | length:
			metadata = data
		default:
			return false
		}
		if !seen.first(tag) {
			return false
		}
		b = rest
	}
	r.metric = metricName(bytesutil.ToUnsafeString(name))
	if r.metric == "" || len(r.metric) > maxLabelValue-len("_bucket") {
		return false
	}
	typ, ok := r.walkData(kind, points)
	if ok && metadata != nil {
		ok = walkMetadata(metadata, &typ)
	}
	r.metadata = append(r.metadata, prompb.MetricMetadata{
		MetricFamilyName: r.metric, Help: bytesutil.ToUnsafeString(description), Unit: bytesutil.ToUnsafeString(unit), Type: typ,
	})
	return ok
}

// walkData reads the field of the oneof data of a Metric that has this number; 0 is none.
func (r *request) walkData(number byte, b []byte) (typ prompb.MetricType, ok bool) {
	monotonic := false
	switch number {
	case 5:
		typ = prompb.MetricTypeGauge
		_, ok = r.walkPoints(b, r.walkNumber)
	case 7:
		typ = prompb.MetricTypeGauge
		if monotonic, ok = r.walkPoints(b, r.walkNumber); monotonic {
			typ = prompb.MetricTypeCounter
		}
	case 9:
		typ = prompb.MetricTypeHistogram
		_, ok = r.walkPoints(b, r.walkHistogram)
	case 11:
		typ = prompb.MetricTypeSummary
		_, ok = r.walkPoints(b, r.walkSummary)
	default:
		typ, ok = prompb.MetricTypeUnknown, true
	}
	return typ, ok
}

// walkMetadata reads what the Collector's Prometheus receiver keeps of a metric's type beside OTLP's own.
func walkMetadata(b []byte, kind *prompb.MetricType) bool {
	key, value, ok := keyValue(b)
	tag, _, text, rest := field(value)
	if !ok || tag != 1<<3|length || len(rest) > 0 {
		return false
	}
	if string(key) != "prometheus.type" {
		return true
	}
	switch string(text) {
	case "unknown":
		*kind = prompb.MetricTypeUnknown
	case "info":
		*kind = prompb.MetricTypeInfo
	case "stateset":
		*kind = prompb.MetricTypeStateset
	}
	return true
}
