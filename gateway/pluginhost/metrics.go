package pluginhost

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics of the plugins, documented in README.md.
type metrics struct {
	running  metric.Int64Gauge
	restarts metric.Int64Counter
	calls    metric.Int64Counter
	duration metric.Float64Histogram
}

func newMetrics(provider metric.MeterProvider) (*metrics, error) {
	meter := provider.Meter("github.com/lockkeeper/lockkeeper/gateway/pluginhost")
	m := &metrics{}
	var errs [4]error
	m.running, errs[0] = meter.Int64Gauge("lockkeeper_plugin_up",
		metric.WithDescription("1 while the plugin runs and says that it is healthy, else 0."))
	m.restarts, errs[1] = meter.Int64Counter("lockkeeper_plugin_restarts_total",
		metric.WithDescription("Attempts to start a plugin again after it ended."))
	m.calls, errs[2] = meter.Int64Counter("lockkeeper_plugin_calls_total",
		metric.WithDescription("Calls to a plugin by gRPC method and status code."))
	m.duration, errs[3] = meter.Float64Histogram("lockkeeper_plugin_call_duration_seconds", metric.WithUnit("s"),
		metric.WithDescription("How long calls to a plugin took."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	return m, errors.Join(errs[:]...)
}

func (m *metrics) up(plugin, kind string, up bool) {
	var value int64
	if up {
		value = 1
	}
	m.running.Record(context.Background(), value, metric.WithAttributes(attribute.String("plugin", plugin), attribute.String("kind", kind)))
}

// restarted counts more attempts; 0 makes the series exist.
func (m *metrics) restarted(plugin string, more int64) {
	m.restarts.Add(context.Background(), more, metric.WithAttributes(attribute.String("plugin", plugin)))
}

func (m *metrics) called(plugin, method, code string, took time.Duration) {
	call := []attribute.KeyValue{attribute.String("plugin", plugin), attribute.String("method", method)}
	m.duration.Record(context.Background(), took.Seconds(), metric.WithAttributes(call...))
	m.calls.Add(context.Background(), 1, metric.WithAttributes(append(call, attribute.String("code", code))...))
}
