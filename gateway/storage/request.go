package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"
)

// request is an OTLP export request, encoded once: the queue keeps these bytes and the plugin gets them.
type request struct {
	data   []byte
	items  int   // data points or log records
	queued int64 // when, in Unix nanoseconds; 0 before
}

func (r *request) ItemsCount() int { return r.items }
func (r *request) BytesSize() int  { return len(r.data) }

// MergeSplit is called for sending_queue::batch only, where the Collector's own requests are used.
func (r *request) MergeSplit(context.Context, int, exporterhelper.RequestSizerType, xexporterhelper.Request) ([]xexporterhelper.Request, error) {
	return nil, errors.New("an encoded request cannot be merged or split")
}

func encodeMetrics(_ context.Context, data pmetric.Metrics) (xexporterhelper.Request, error) {
	encoded, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(data)
	return &request{data: encoded, items: data.DataPointCount()}, err
}

func encodeLogs(_ context.Context, data plog.Logs) (xexporterhelper.Request, error) {
	encoded, err := (&plog.ProtoMarshaler{}).MarshalLogs(data)
	return &request{data: encoded, items: data.LogRecordCount()}, err
}

// encoding is that of a queue on disk. It is the Collector's, version 1, so that a queue can be read by a gateway that is older or
// newer; without the context of a request, of which the plugin gets nothing, and with the time at which it was queued, which a
// Collector skips. Bare OTLP, as Collectors wrote before, is read too.
type encoding struct {
	path [][]protowire.Number // the fields that lead to an item, at each depth
	ages *ages
}

// Fields of the Collector's wrapper around a request, and ours, far from what it may have one day.
const (
	versionField = 1
	dataField    = 3
	queuedField  = 1000
)

func metricsPath() [][]protowire.Number {
	return [][]protowire.Number{
		{1}, {2}, {2}, // resource_metrics, scope_metrics, metrics
		{5, 7, 9, 10, 11}, {1}, // gauge, sum, histogram, exponential_histogram or summary, and their data_points
	}
}

func logsPath() [][]protowire.Number {
	return [][]protowire.Number{{1}, {2}, {2}} // resource_logs, scope_logs, log_records
}

func versionOne() []byte {
	return binary.LittleEndian.AppendUint32(protowire.AppendTag(nil, versionField, protowire.Fixed32Type), 1)
}

// Marshal puts a request into the queue.
func (e encoding) Marshal(_ context.Context, r xexporterhelper.Request) ([]byte, error) {
	own := r.(*request)
	e.ages.stamp(own)
	b := append(make([]byte, 0, len(own.data)+32), versionOne()...)
	b = protowire.AppendFixed64(protowire.AppendTag(b, queuedField, protowire.Fixed64Type), uint64(own.queued))
	b = protowire.AppendTag(b, dataField, protowire.BytesType)
	return protowire.AppendBytes(b, own.data), nil
}

// Unmarshal takes a request out of the queue. It keeps b. One without a time counts as queued now.
func (e encoding) Unmarshal(b []byte) (context.Context, xexporterhelper.Request, error) {
	ctx := context.Background()
	r := &request{data: b}
	if version := versionOne(); len(b) >= len(version) && string(b[:len(version)]) == string(version) {
		var err error
		if r, err = unwrap(b[len(version):]); err != nil {
			return ctx, nil, err
		}
	}
	var err error
	if r.items, err = count(r.data, e.path); err != nil {
		return ctx, nil, err
	}
	e.ages.stamp(r)
	e.ages.add(r)
	return ctx, r, nil
}

func unwrap(b []byte) (*request, error) {
	r := &request{}
	err := fields(b, func(number protowire.Number, kind protowire.Type, value []byte) error {
		switch {
		case number == dataField && kind == protowire.BytesType:
			r.data, _ = protowire.ConsumeBytes(value)
		case number == queuedField && kind == protowire.Fixed64Type:
			at, _ := protowire.ConsumeFixed64(value)
			r.queued = int64(at)
		}
		return nil
	})
	return r, err
}

// count counts the fields at the end of a path.
func count(b []byte, path [][]protowire.Number) (n int, err error) {
	err = fields(b, func(number protowire.Number, kind protowire.Type, value []byte) error {
		if kind != protowire.BytesType || !slices.Contains(path[0], number) {
			return nil
		}
		if len(path) == 1 {
			n++
			return nil
		}
		content, _ := protowire.ConsumeBytes(value)
		more, err := count(content, path[1:])
		n += more
		return err
	})
	return n, err
}

// fields calls do with the fields of a message. A value is as it is encoded, and whole.
func fields(b []byte, do func(protowire.Number, protowire.Type, []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeField(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		_, _, tag := protowire.ConsumeTag(b)
		if err := do(number, kind, b[tag:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
