package main

import (
	"fmt"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/bytesutil"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/decimal"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/prompb"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/promutil"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/protoparser/opentelemetry/pb"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/storage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/timeserieslimits"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// maxPending bounds what rows' labels take before they are stored: one histogram repeats them for each bucket.
const maxPending = 16 << 20

// request makes rows of an ExportMetricsServiceRequest. What it holds refers to the request's bytes. It is used
// again for its memory, after reset.
type request struct {
	write    func([]storage.MetricRow) error
	leftOut  map[string]struct{} // attributes of resources
	rows     []storage.MetricRow
	raw      []byte // names and labels of rows, one after the other
	metadata []prompb.MetricMetadata
	err      error // of the first write that failed

	labels []prompb.Label // PushSample: of one sample
	name   []byte         // PushSample: with its suffix
	walked
}

// newRequest stores rows by write. server.address, server.port and url.scheme are what the Collector's Prometheus
// receiver adds to each scraped target; Prometheus itself has no such labels, and job and instance say the same.
func newRequest(write func([]storage.MetricRow) error) *request {
	return &request{write: write, leftOut: map[string]struct{}{"server.address": {}, "server.port": {}, "url.scheme": {}}}
}

// read makes rows of body. An error is permanent, unless it is that of writing rows that became too many to hold.
func (r *request) read(body []byte) error {
	if r.walk(body) {
		return r.err
	}
	// What was read of it so far is read again. What was stored of it is stored once all the same.
	r.reset()
	options := pb.DecodeMetricsOptions{DisableScopeMetadata: true, ResourceAttributesList: r.leftOut}
	if err := pb.DecodeMetricsData(body, r, options); err != nil {
		return sdk.Permanent(fmt.Errorf("OTLP metrics: %w", err))
	}
	return r.err
}

// reset forgets the request.
func (r *request) reset() {
	clear(r.rows)
	clear(r.metadata)
	r.rows, r.raw, r.metadata, r.err = r.rows[:0], r.raw[:0], r.metadata[:0], nil
}

// add takes a sample whose name and labels are r.raw[start:].
func (r *request) add(start int, milliseconds int64, value float64) {
	r.rows = append(r.rows, storage.MetricRow{MetricNameRaw: r.raw[start:len(r.raw):len(r.raw)], Timestamp: milliseconds, Value: value})
	if len(r.raw) >= maxPending {
		if err := r.flush(); err != nil && r.err == nil {
			r.err = err
		}
	}
}

// flush stores the rows. When it fails they may be stored later.
func (r *request) flush() error {
	err := r.write(r.rows)
	clear(r.rows)
	r.rows, r.raw = r.rows[:0], r.raw[:0]
	return err
}

// PushSample copies what VictoriaMetrics's decoder found.
func (r *request) PushSample(metric *pb.MetricMetadata, suffix string, labels *promutil.Labels, nanoseconds uint64, value float64, flags uint32) {
	r.name = append(append(r.name[:0], metricName(metric.Name)...), suffix...)
	r.labels = r.labels[:0]
	if len(r.name) > 0 {
		r.labels = append(r.labels, prompb.Label{Value: bytesutil.ToUnsafeString(r.name)})
	}
	for _, l := range labels.Labels {
		if l.Value != "" {
			r.labels = append(r.labels, prompb.Label{Name: labelName(l.Name), Value: l.Value})
		}
	}
	if len(r.labels) == 0 || timeserieslimits.IsExceeding(r.labels) {
		return
	}
	start := len(r.raw)
	r.raw = storage.MarshalMetricNameRaw(r.raw, r.labels)
	r.add(start, int64(nanoseconds/1e6), staleOr(value, uint64(flags)))
	if endsSum(suffix, uint64(flags)) {
		r.PushSample(metric, "_sum", labels, nanoseconds, value, flags)
	}
}

// PushMetricMetadata keeps type, unit and help, whose text lives in the request.
func (r *request) PushMetricMetadata(metric *pb.MetricMetadata) {
	r.metadata = append(r.metadata, prompb.MetricMetadata{
		MetricFamilyName: metricName(metric.Name), Help: metric.Description, Unit: metric.Unit, Type: metric.Type,
	})
}

// noRecordedValue is OTLP's flag of a data point that says that its series ended.
const noRecordedValue = 1

// endsSum tells whether a sample is the end of a count. Its sum ended too, which the Collector's Prometheus receiver leaves out of histograms.
// Where it does not, the same is stored twice, which is once.
func endsSum(suffix string, flags uint64) bool {
	return suffix == "_count" && flags&noRecordedValue != 0
}

func staleOr(value float64, flags uint64) float64 {
	if flags&noRecordedValue != 0 {
		return decimal.StaleNaN
	}
	return value
}
