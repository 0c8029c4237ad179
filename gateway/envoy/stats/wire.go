package stats

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Types of a family, from io.prometheus.client.MetricType.
const (
	typeCounter   = 0
	typeGauge     = 1
	typeSummary   = 2
	typeUntyped   = 3
	typeHistogram = 4
)

// valueFields are the fields of a Metric that have the value, by type.
var valueFields = [...]protowire.Number{typeCounter: 3, typeGauge: 2, typeSummary: 4, typeUntyped: 5, typeHistogram: 7}

// family is one MetricFamily as it is on the wire. It aliases the message.
type family struct {
	name    []byte
	kind    int32
	metrics [][]byte
}

// metric is one metric of a family. It aliases the message.
type metric struct {
	labels [][]byte // encoded LabelPairs
	time   int64    // milliseconds of Unix time, 0 without
	set    bool     // whether there is a value of the family's type
	value  float64  // of a counter, gauge or untyped
	count  uint64   // of a histogram or summary, as are sum and points
	sum    float64
	points []point // in the order of the message
}

// point is a bucket (bound and cumulated count) or a quantile and its value.
type point struct{ at, value float64 }

// read reads a metric of a family of the type.
func (m *metric) read(of int32, b []byte) bool {
	*m = metric{labels: m.labels[:0], points: m.points[:0]}
	value := protowire.Number(-1)
	if of >= 0 && int(of) < len(valueFields) {
		value = valueFields[of]
	}
	return walk(b, func(number protowire.Number, kind protowire.Type, v uint64, content []byte) bool {
		switch {
		case number == 6 && kind == protowire.VarintType:
			m.time = int64(v)
		case kind != protowire.BytesType:
		case number == 1:
			m.labels = append(m.labels, content)
		case number == value:
			m.set = true
			if of == typeSummary || of == typeHistogram {
				return m.distribution(of, content)
			}
			return m.number(content)
		}
		return true
	})
}

// number reads a Counter, Gauge or Untyped.
func (m *metric) number(b []byte) bool {
	return walk(b, func(number protowire.Number, kind protowire.Type, v uint64, _ []byte) bool {
		if number == 1 && kind == protowire.Fixed64Type {
			m.value = math.Float64frombits(v)
		}
		return true
	})
}

// distribution reads a Summary or Histogram.
func (m *metric) distribution(of int32, b []byte) bool {
	return walk(b, func(number protowire.Number, kind protowire.Type, v uint64, content []byte) bool {
		switch {
		case number == 1 && kind == protowire.VarintType:
			m.count = v
		case number == 2 && kind == protowire.Fixed64Type:
			m.sum = math.Float64frombits(v)
		case number == 3 && kind == protowire.BytesType:
			m.points = append(m.points, point{})
			return m.points[len(m.points)-1].read(of, content)
		}
		return true
	})
}

// walkMessage calls see for each family of a StreamMetricsMessage, encoded; false: the message is malformed.
func walkMessage(b []byte, see func([]byte)) bool {
	return walk(b, func(number protowire.Number, kind protowire.Type, _ uint64, content []byte) bool {
		if number == 2 && kind == protowire.BytesType {
			see(content)
		}
		return true
	})
}

func (f *family) read(b []byte) bool {
	f.name, f.kind, f.metrics = nil, typeCounter, f.metrics[:0]
	return walk(b, func(number protowire.Number, kind protowire.Type, v uint64, content []byte) bool {
		switch {
		case number == 1 && kind == protowire.BytesType:
			f.name = content
		case number == 3 && kind == protowire.VarintType:
			f.kind = int32(v)
		case number == 4 && kind == protowire.BytesType:
			f.metrics = append(f.metrics, content)
		}
		return true
	})
}

func (p *point) read(of int32, b []byte) bool {
	return walk(b, func(number protowire.Number, kind protowire.Type, v uint64, _ []byte) bool {
		switch {
		case of == typeHistogram && number == 1 && kind == protowire.VarintType:
			p.value = float64(v)
		case of == typeHistogram && number == 2 && kind == protowire.Fixed64Type:
			p.at = math.Float64frombits(v)
		case of == typeSummary && number == 1 && kind == protowire.Fixed64Type:
			p.at = math.Float64frombits(v)
		case of == typeSummary && number == 2 && kind == protowire.Fixed64Type:
			p.value = math.Float64frombits(v)
		}
		return true
	})
}

// walk calls see for each field of a message; v is the value of a number, content that of bytes. It returns false when the
// message is malformed or see returns false.
func walk(b []byte, see func(number protowire.Number, kind protowire.Type, v uint64, content []byte) bool) bool {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		var v uint64
		var content []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			content, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 || !see(number, kind, v, content) {
			return false
		}
		b = b[n:]
	}
	return true
}
