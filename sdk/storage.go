package sdk

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// Storage is an open storage plugin. A func that is nil is something the plugin does not do. The funcs may be
// called at the same time; none is called after Stop.
type Storage struct {
	// WriteMetrics stores one request. It returns when the request is safe in the plugin's own terms: the
	// gateway forgets it then. The same request may come twice. Nil: metrics are not supported.
	WriteMetrics func(ctx context.Context, m Metrics) error

	// WriteLogs is the same for log records.
	WriteLogs func(ctx context.Context, l Logs) error

	// Health returns nil while the plugin can do its work. Nil: always.
	Health func(ctx context.Context) error

	// Stop flushes and closes, in less than 5 seconds. It is called once, after the last write has returned.
	// Nil: there is nothing to close.
	Stop func(ctx context.Context) error

	// QueryURL is the base URL of the read API (Prometheus's HTTP API, LogsQL), without a slash at the end.
	QueryURL string

	// RemoteWriteURL takes Prometheus remote write.
	RemoteWriteURL string
}

func (s *Storage) describe(info *pluginv1.InfoResponse) {
	info.Kind, info.QueryUrl, info.RemoteWriteUrl = "storage", s.QueryURL, s.RemoteWriteURL
	if s.WriteMetrics != nil {
		info.Signals = append(info.Signals, "metrics")
	}
	if s.WriteLogs != nil {
		info.Signals = append(info.Signals, "logs")
	}
}
func (s *Storage) health(ctx context.Context) error { return call(ctx, s.Health) }
func (s *Storage) stop(ctx context.Context) error   { return call(ctx, s.Stop) }

// OpenStorage opens a storage plugin. An error that is not marked Permanent may go away by itself, such as a
// directory that another process has locked: the gateway tries again.
type OpenStorage func(ctx context.Context, c Config) (*Storage, error)

// Metrics is an OTLP ExportMetricsServiceRequest as it was received.
type Metrics struct{ request []byte }

// Bytes is the request's protobuf encoding, not checked. It is valid until the call returns and must not be changed.
func (m Metrics) Bytes() []byte { return m.request }

// Decode is the request as pdata. Its error is permanent.
func (m Metrics) Decode() (pmetric.Metrics, error) {
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalProto(m.request); err != nil {
		return pmetric.NewMetrics(), Permanent(err)
	}
	return request.Metrics(), nil
}

// Logs is an OTLP ExportLogsServiceRequest as it was received.
type Logs struct{ request []byte }

// Bytes is the request's protobuf encoding, not checked. It is valid until the call returns and must not be changed.
func (l Logs) Bytes() []byte { return l.request }

// Decode is the request as pdata. Its error is permanent.
func (l Logs) Decode() (plog.Logs, error) {
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalProto(l.request); err != nil {
		return plog.NewLogs(), Permanent(err)
	}
	return request.Logs(), nil
}
