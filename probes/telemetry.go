package probes

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// telemetry counts what became of no result; README.md lists it.
type telemetry struct {
	meter                      metric.Meter
	discarded, errors, dropped metric.Int64Counter
}

func newTelemetry(provider metric.MeterProvider) (*telemetry, error) {
	meter := provider.Meter("github.com/lockkeeper/lockkeeper/probes")
	t := &telemetry{meter: meter}
	var errs [3]error
	t.discarded, errs[0] = meter.Int64Counter("lockkeeper_probe_discarded_total",
		metric.WithDescription("Failed probes that were no evidence, as this process itself was held up, by reason."))
	t.errors, errs[1] = meter.Int64Counter("lockkeeper_probe_errors_total",
		metric.WithDescription("Probes that could not be made, for reasons of this machine, by module."))
	t.dropped, errs[2] = meter.Int64Counter("lockkeeper_probe_dropped_total",
		metric.WithDescription("Probes that were not made as too many of the same target were under way, by module."))
	t.discarded.Add(context.Background(), 0, metric.WithAttributes(attribute.String("reason", "late")))
	return t, errors.Join(errs[:]...)
}

func (t *telemetry) discard(reason string) {
	t.discarded.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", reason)))
}

func (t *telemetry) fail(module string) {
	t.errors.Add(context.Background(), 1, metric.WithAttributes(attribute.String("module", module)))
}

func (t *telemetry) drop(target *Target) {
	t.dropped.Add(context.Background(), 1, metric.WithAttributes(attribute.String("module", target.Module)))
}
