package envoy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// newStats returns what keeps Envoy's stats. sample is told how many entries the Envoys say that they wrote; it may be nil.
func newStats(c *Config, sample func(stats.Sample), now time.Time) (*stats.Sink, error) {
	keep, err := c.Stats.keep()
	if err != nil {
		return nil, err
	}
	return stats.New(stats.Options{Keep: keep, Istio: c.RequestsFrom == "stats", Sample: sample, Idle: c.Series.Idle}, now), nil
}

// keep returns what tells by a stat's name whether it is kept.
func (c *StatsConfig) keep() (func(string) bool, error) {
	var errs []error
	compile := func(key string, expressions []string) []*regexp.Regexp {
		var compiled []*regexp.Regexp
		for i, text := range expressions {
			if _, err := regexp.Compile(text); err != nil {
				errs = append(errs, fmt.Errorf("stats::%s::%d: %w", key, i, err))
				continue
			}
			compiled = append(compiled, regexp.MustCompile("^(?:"+text+")$"))
		}
		return compiled
	}
	include, exclude := compile("include", c.Include), compile("exclude", c.Exclude)
	matches := func(all []*regexp.Regexp, name string) bool {
		return slices.ContainsFunc(all, func(r *regexp.Regexp) bool { return r.MatchString(name) })
	}
	return func(name string) bool {
		return (len(include) == 0 || matches(include, name)) && !matches(exclude, name)
	}, errors.Join(errs...)
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

// envoyStats reads one stream of the metrics service.
func (r *envoyReceiver) envoyStats(grpcStream grpc.ServerStream) error {
	return r.read(grpcStream, kindStats, r.refuseStats, func(n mesh.Node) messages { return r.stats.Open(n) })
}

func (r *envoyReceiver) refuseStats(err error) error {
	r.refusedStats.Add(1)
	return status.Error(codes.InvalidArgument, err.Error())
}

// flushStats hands on the stats that changed.
func (r *envoyReceiver) flushStats(ctx context.Context, now time.Time) error {
	return r.stats.Flush(now, r.config.Gateway, func(metrics pmetric.Metrics) error {
		if r.next == nil {
			return nil
		}
		op := r.report.StartMetricsOp(ctx)
		err := r.next.ConsumeMetrics(ctx, metrics)
		r.report.EndMetricsOp(op, "stats", metrics.DataPointCount(), err)
		return err
	})
}

// observeStats registers the metrics of the stats streams.
func (r *envoyReceiver) observeStats(meter metric.Meter) (metric.Registration, error) {
	i := instruments{meter: meter}
	messages := i.counter("lockkeeper_stats_messages_total", "Messages of Envoy's metrics service, by node.")
	malformed := i.counter("lockkeeper_stats_malformed_total", "Stats that could not be read.")
	overflow := i.counter("lockkeeper_stats_overflow_total", "Values of stats dropped because too many series are kept.")
	dropped := i.counter("lockkeeper_stats_dropped_total", "Values of stats left out on purpose, by reason.")
	refused := i.counter("lockkeeper_stats_streams_refused_total", "Stats streams ended because of what they sent.")
	streams := i.gauge("lockkeeper_stats_streams", "Open stats streams.")
	series := i.gauge("lockkeeper_stats_series", "Series of stats kept.")
	if err := errors.Join(i.errs...); err != nil {
		return nil, err
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t := r.stats.Totals()
		for id, n := range t.Messages {
			o.ObserveInt64(messages, int64(n), metric.WithAttributes(attribute.String("node", id)))
		}
		for reason, n := range t.Dropped {
			o.ObserveInt64(dropped, int64(n), metric.WithAttributes(attribute.String("reason", reason)))
		}
		o.ObserveInt64(malformed, int64(t.Malformed))
		o.ObserveInt64(overflow, int64(t.Overflow))
		o.ObserveInt64(refused, r.refusedStats.Load())
		o.ObserveInt64(streams, int64(t.Streams))
		o.ObserveInt64(series, int64(t.Series))
		return nil
	}, i.all...)
}
