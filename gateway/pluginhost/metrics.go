package pluginhost

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics of the plugins, documented in README.md.
type metrics struct {
	running  metric.Int64Gauge
	restarts metric.Int64Counter
	kills    metric.Int64Counter
	dropped  metric.Int64Counter
	resident metric.Int64Gauge
	changed  metric.Int64Gauge
	calls    *calls
}

func newMetrics(provider metric.MeterProvider) (*metrics, error) {
	meter := provider.Meter("github.com/lockkeeper/lockkeeper/gateway/pluginhost")
	m := &metrics{}
	var errs [7]error
	m.running, errs[0] = meter.Int64Gauge("lockkeeper_plugin_up",
		metric.WithDescription("1 while the plugin runs and says that it is healthy, else 0."))
	m.restarts, errs[1] = meter.Int64Counter("lockkeeper_plugin_restarts_total",
		metric.WithDescription("Attempts to start a plugin again after it ended."))
	m.calls, errs[2] = newCalls(meter)
	m.dropped, errs[3] = meter.Int64Counter("lockkeeper_plugin_log_lines_dropped_total",
		metric.WithDescription("Lines that a plugin printed and that are in no log, because there were too many."))
	m.kills, errs[4] = meter.Int64Counter("lockkeeper_plugin_kills_total",
		metric.WithDescription("Processes of plugins that the gateway ended, because they hung or held too much memory."))
	m.resident, errs[5] = meter.Int64Gauge("lockkeeper_plugin_memory_bytes", metric.WithUnit("By"),
		metric.WithDescription("Resident memory of a plugin's process; 0 while there is none."))
	m.changed, errs[6] = meter.Int64Gauge("lockkeeper_plugin_binary_changed",
		metric.WithDescription("1 while a plugin's binary on disk is another than the one that runs, else 0."))
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

// linesDropped counts more lines; 0 makes the series exist.
func (m *metrics) linesDropped(plugin string, more int64) {
	m.dropped.Add(context.Background(), more, metric.WithAttributes(attribute.String("plugin", plugin)))
}

// killed counts a process that the gateway ended, because of memory or because it hung.
func (m *metrics) killed(plugin, reason string) {
	m.kills.Add(context.Background(), 1, metric.WithAttributes(attribute.String("plugin", plugin), attribute.String("reason", reason)))
}

func (m *metrics) memory(plugin string, bytes int64) {
	m.resident.Record(context.Background(), bytes, metric.WithAttributes(attribute.String("plugin", plugin)))
}

func (m *metrics) binaryChanged(plugin string, changed bool) {
	var value int64
	if changed {
		value = 1
	}
	m.changed.Record(context.Background(), value, metric.WithAttributes(attribute.String("plugin", plugin)))
}
