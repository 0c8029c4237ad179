package alerting

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics tell of what is Lockkeeper's own; Alertmanager's are in its registry.
type metrics struct {
	alerts, refused, invalids, failures, losses metric.Int64Counter
	shared, unshared                            metric.Int64Counter
	evaluated, reloaded                         metric.Int64Gauge
}

func newMetrics(provider metric.MeterProvider) (*metrics, error) {
	meter := provider.Meter("github.com/lockkeeper/lockkeeper/gateway/alerting")
	var errs []error
	counter := func(name, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	gauge := func(name, description string) metric.Int64Gauge {
		g, err := meter.Int64Gauge(name, metric.WithDescription(description))
		errs = append(errs, err)
		return g
	}
	m := &metrics{
		alerts:    counter("lockkeeper_alerting_alerts_received_total", "Alerts that were taken, also those sent again, by where they came from."),
		refused:   counter("lockkeeper_alerting_alerts_refused_total", "Alerts refused because max_alerts were known, or because of their size."),
		invalids:  counter("lockkeeper_alerting_alerts_invalid_total", "Alerts of plugins that were none, such as one without labels."),
		failures:  counter("lockkeeper_alerting_state_write_failures_total", "Writes to the data directory that failed; they are tried again."),
		losses:    counter("lockkeeper_alerting_state_damaged_total", "Files in the data directory that could not be read to their end at the start."),
		shared:    counter("lockkeeper_alerting_shared_records_total", "Silences and lines of the notification log taken from other gateways."),
		unshared:  counter("lockkeeper_alerting_shared_refused_total", "Such that were refused: their clock is ahead, or they cannot be read."),
		evaluated: gauge("lockkeeper_alerting_evaluating", "1 while an alerting plugin evaluates its rules, else 0."),
		reloaded:  gauge("lockkeeper_alerting_config_last_reload_successful", "0 while config_file has mistakes and the last good one is at work, else 1."),
	}
	return m, errors.Join(errs...)
}

// begin makes every counter visible before it counts.
func (m *metrics) begin(plugins []string) {
	sources := []string{fromAPI, fromGateway}
	for _, name := range plugins {
		sources = append(sources, fromPlugin+name)
		m.evaluating(name, false)
	}
	for _, source := range sources {
		m.received(source, 0, 0)
		m.invalid(source, 0)
	}
	for _, file := range []string{silencesFile, toldFile} {
		m.merged(file, 0, 0)
	}
	for _, file := range stateFiles() {
		of := metric.WithAttributes(attribute.String("file", file))
		m.failures.Add(context.Background(), 0, of)
		m.losses.Add(context.Background(), 0, of)
	}
}

func (m *metrics) received(source string, taken, refused int) {
	from := metric.WithAttributes(attribute.String("source", source))
	m.alerts.Add(context.Background(), int64(taken), from)
	m.refused.Add(context.Background(), int64(refused), from)
}

func (m *metrics) invalid(source string, n int) {
	m.invalids.Add(context.Background(), int64(n), metric.WithAttributes(attribute.String("source", source)))
}

func (m *metrics) unwritten(file string) {
	m.failures.Add(context.Background(), 1, metric.WithAttributes(attribute.String("file", file)))
}

func (m *metrics) damaged(file string) {
	m.losses.Add(context.Background(), 1, metric.WithAttributes(attribute.String("file", file)))
}

func (m *metrics) merged(file string, taken, refused int) {
	of := metric.WithAttributes(attribute.String("file", file))
	m.shared.Add(context.Background(), int64(taken), of)
	m.unshared.Add(context.Background(), int64(refused), of)
}

func (m *metrics) evaluating(plugin string, is bool) {
	m.evaluated.Record(context.Background(), number(is), metric.WithAttributes(attribute.String("plugin", plugin)))
}

func (m *metrics) configured(good bool) { m.reloaded.Record(context.Background(), number(good)) }

func number(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
