package storage

import (
	"context"
	"encoding/binary"
	"errors"

	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"
)

// request is an OTLP export request, encoded once: the queue keeps these bytes and the plugin gets them.
type request struct {
	data  []byte
	items int // data points or log records
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
// newer; without the context of a request, of which the plugin gets nothing. Bare OTLP, as Collectors wrote before, is read too.
type encoding struct {
	path [][]protowire.Number // the fields that lead to an item, at each depth
}

// Fields of the Collector's wrapper around a request.
const (
	versionField = 1
	dataField    = 3
)

func metricsEncoding() encoding {
	return encoding{path: [][]protowire.Number{
		{1}, {2}, {2}, // resource_metrics, scope_metrics, metrics
		{5, 7, 9, 10, 11}, {1}, // gauge, sum, histogram, exponential_histogram or summary, and their data_points
	}}
}

func logsEncoding() encoding {
	return encoding{path: [][]protowire.Number{{1}, {2}, {2}}} // resource_logs, scope_logs, log_records
}

func versionOne() []byte {
	return binary.LittleEndian.AppendUint32(protowire.AppendTag(nil, versionField, protowire.Fixed32Type), 1)
}

// Marshal puts a request into the queue.
func (encoding) Marshal(_ context.Context, r xexporterhelper.Request) ([]byte, error) {
	data := r.(*request).data
	b := make([]byte, 0, len(data)+16)
	b = protowire.AppendTag(append(b, versionOne()...), dataField, protowire.BytesType)
	return protowire.AppendBytes(b, data), nil
}

// Unmarshal takes a request out of the queue. It keeps b.
func (e encoding) Unmarshal(b []byte) (context.Context, xexporterhelper.Request, error) {
	ctx := context.Background()
	data := b
	if version := versionOne(); len(b) >= len(version) && string(b[:len(version)]) == string(version) {
		data = nil
		if err := fields(b[len(version):], func(number protowire.Number, content []byte) error {
			if number == dataField {
				data = content
			}
			return nil
		}); err != nil {
			return ctx, nil, err
		}
	}
	items, err := count(data, e.path)
	return ctx, &request{data: data, items: items}, err
}

// count counts the fields at the end of a path.
func count(b []byte, path [][]protowire.Number) (n int, err error) {
	err = fields(b, func(number protowire.Number, content []byte) error {
		for _, on := range path[0] {
			if number != on {
				continue
			}
			if len(path) == 1 {
				n++
				continue
			}
			more, err := count(content, path[1:])
			if n += more; err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// fields calls do with the length-delimited fields of a message.
func fields(b []byte, do func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeField(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(b)
			content, _ := protowire.ConsumeBytes(b[tag:])
			if err := do(number, content); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}
