package envoy

import (
	"context"
	"errors"
	"io"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// newStats returns what keeps Envoy's stats, for a valid configuration.
func newStats(c *Config, now time.Time, sample func(stats.Sample)) *stats.Sink {
	return stats.New(stats.Options{Istio: c.RequestsFrom == "stats", Idle: c.Series.Idle, Sample: sample}, now)
}

// metricsService describes envoy.service.metrics.v3.MetricsService with messages that stay encoded.
func metricsService(handle func(grpc.ServerStream) error) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "envoy.service.metrics.v3.MetricsService",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "StreamMetrics",
			ClientStreams: true,
			Handler:       func(_ any, s grpc.ServerStream) error { return handle(s) },
		}},
	}
}

// envoyStats reads one stream of the metrics service until its end. As with access logs, only the first message has the
// identifier and no answer is expected.
func (r *envoyReceiver) envoyStats(grpcStream grpc.ServerStream) error {
	var stream *stats.Stream
	defer func() {
		if stream != nil {
			stream.Close()
		}
	}()
	var m message
	for {
		if err := grpcStream.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if stream == nil {
			node, err := mesh.ReadNode(m.bytes, r.idc)
			if err != nil {
				return r.refuse(err)
			}
			stream = r.stats.Open(node)
		}
		if err := stream.Add(m.bytes); err != nil {
			return r.refuse(err)
		}
		if cap(m.bytes) > keptBytes {
			m.bytes = nil
		}
	}
}

// flushStats hands on the stats that changed.
func (r *envoyReceiver) flushStats(ctx context.Context, now time.Time) error {
	if r.next == nil {
		return nil
	}
	return r.stats.Flush(now, r.config.Gateway, func(metrics pmetric.Metrics) error {
		op := r.report.StartMetricsOp(ctx)
		err := r.next.ConsumeMetrics(ctx, metrics)
		r.report.EndMetricsOp(op, "stats", metrics.DataPointCount(), err)
		return err
	})
}
