package main

import (
	"bytes"
	"encoding/binary"
	"math"
)

// walkPoints calls each for every data point, and tells whether they are declared monotonic.
func (r *request) walkPoints(b []byte, each func([]byte) bool) (monotonic, ok bool) {
	var seen fields
	for len(b) > 0 {
		tag, number, data, rest := field(b)
		switch tag {
		case 1<<3 | length:
			r.encoded, r.count, r.position, r.milliseconds, r.flags = r.encoded[:r.shared], r.sharedCount, 0, 0, 0
			if !each(data) {
				return false, false
			}
		case 2<<3 | varint: // temporality
		case 3<<3 | varint:
			if !seen.first(tag) || number > 1 {
				return false, false
			}
			monotonic = number == 1
		default:
			return false, false
		}
		b = rest
	}
	return monotonic, true
}

func (r *request) walkNumber(b []byte) bool {
	value := 0.0
	for len(b) > 0 {
		tag, number, data, rest := field(b)
		switch tag {
		case 7<<3 | length:
			if !r.attribute(data) {
				return false
			}
		case 3<<3 | fixed64:
			r.milliseconds = int64(number / 1e6)
		case 4<<3 | fixed64:
			value = math.Float64frombits(number)
		case 6<<3 | fixed64:
			value = float64(int64(number))
		case 8<<3 | varint:
			r.flags = number
		case 2<<3 | fixed64, 5<<3 | length: // start, exemplars
		default:
			return false
		}
		b = rest
	}
	return r.sample("", value)
}

func (r *request) walkHistogram(b []byte) bool {
	var counts, bounds []byte
	var count uint64
	sum, hasSum := 0.0, false
	var seen fields
	for len(b) > 0 {
		tag, number, data, rest := field(b)
		switch tag {
		case 9<<3 | length:
			if !r.attribute(data) {
				return false
			}
		case 3<<3 | fixed64:
			r.milliseconds = int64(number / 1e6)
		case 4<<3 | fixed64:
			count = number
		case 5<<3 | fixed64:
			sum, hasSum = math.Float64frombits(number), true
		case 6<<3 | length:
			if !seen.first(tag) {
				return false
			}
			counts = data
		case 7<<3 | length:
			if !seen.first(tag) {
				return false
			}
			bounds = data
		case 10<<3 | varint:
			r.flags = number
		case 2<<3 | fixed64, 8<<3 | length, 11<<3 | fixed64, 12<<3 | fixed64: // start, exemplars, min, max
		default:
			return false
		}
		b = rest
	}
	switch {
	case len(counts)%8 != 0 || len(bounds)%8 != 0:
		return false
	case len(counts) == 0:
		return true
	case len(counts) != len(bounds)+8 || !r.sample("_count", float64(count)) || hasSum && !r.sample("_sum", sum):
		return false
	}
	return r.buckets(counts, bounds)
}

func (r *request) buckets(counts, bounds []byte) bool {
	var cumulative uint64
	for ; len(counts) > 0; counts = counts[8:] {
		cumulative += binary.LittleEndian.Uint64(counts)
		bound := math.Inf(1)
		if len(bounds) > 0 {
			bound = math.Float64frombits(binary.LittleEndian.Uint64(bounds))
			bounds = bounds[8:]
		}
		if !r.sampleWith("le", bound, "_bucket", float64(cumulative)) {
			return false
		}
	}
	return true
}

func (r *request) walkSummary(b []byte) bool {
	var count uint64
	sum := 0.0
	r.quantiles = r.quantiles[:0]
	for len(b) > 0 {
		tag, number, data, rest := field(b)
		switch tag {
		case 7<<3 | length:
			if !r.attribute(data) {
				return false
			}
		case 3<<3 | fixed64:
			r.milliseconds = int64(number / 1e6)
		case 4<<3 | fixed64:
			count = number
		case 5<<3 | fixed64:
			sum = math.Float64frombits(number)
		case 6<<3 | length:
			quantile, ok := walkQuantile(data)
			if !ok {
				return false
			}
			r.quantiles = append(r.quantiles, quantile)
		case 8<<3 | varint:
			r.flags = number
		case 2<<3 | fixed64: // start
		default:
			return false
		}
		b = rest
	}
	ok := r.sample("_count", float64(count)) && r.sample("_sum", sum)
	for _, q := range r.quantiles {
		ok = ok && r.sampleWith("quantile", q[0], "", q[1])
	}
	return ok
}

func walkQuantile(b []byte) (quantile [2]float64, ok bool) {
	for len(b) > 0 {
		tag, number, _, rest := field(b)
		switch tag {
		case 1<<3 | fixed64, 2<<3 | fixed64:
			quantile[tag>>3-1] = math.Float64frombits(number)
		default:
			return quantile, false
		}
		b = rest
	}
	return quantile, true
}

// attribute appends the label of a data point's KeyValue. Mostly the data point before has the same one there.
func (r *request) attribute(b []byte) bool {
	if r.position == len(r.known) {
		return false
	}
	l := &r.known[r.position]
	r.position++
	return (bytes.Equal(l.attribute, b) || l.of(b, nil)) && r.append(l)
}

func (r *request) append(l *label) bool {
	r.encoded = append(r.encoded, l.encoded...)
	if len(l.encoded) > 0 {
		r.count++
	}
	return r.count < maxLabels
}

// sample takes one sample of the data point.
func (r *request) sample(suffix string, value float64) bool {
	start := len(r.raw)
	r.raw = append(r.raw, 0, 0)
	r.raw = binary.BigEndian.AppendUint16(r.raw, uint16(len(r.metric)+len(suffix)))
	r.raw = append(append(append(r.raw, r.metric...), suffix...), r.encoded...)
	r.add(start, r.milliseconds, staleOr(value, r.flags))
	if endsSum(suffix, r.flags) && !r.sample("_sum", value) {
		return false
	}
	return r.flags <= math.MaxUint32
}

// sampleWith is sample with a label more.
func (r *request) sampleWith(name string, number float64, suffix string, value float64) bool {
	before := len(r.encoded)
	r.encoded = appendName(r.encoded, name)
	start := len(r.encoded)
	r.encoded = appendFloat(r.encoded, number)
	endValue(r.encoded, len(r.encoded)-start)
	ok := r.sample(suffix, value)
	r.encoded = r.encoded[:before]
	return ok && r.count+1 < maxLabels
}
