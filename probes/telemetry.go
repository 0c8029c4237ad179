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
	targets                    metric.Int64Gauge
}

func newTelemetry(provider metric.MeterProvider) (*telemetry, error) {
	meter := provider.Meter("github.com/lockkeeper/lockkeeper/probes")
	t := &telemetry{meter: meter}
	var errs [4]error
	t.discarded, errs[0] = meter.Int64Counter("lockkeeper_probe_discarded_total",
		metric.WithDescription("Failed probes that were no evidence, as this process itself was held up, by reason."))
	t.errors, errs[1] = meter.Int64Counter("lockkeeper_probe_errors_total",
		metric.WithDescription("Probes that could not be made, for reasons of this machine, by module."))
	t.dropped, errs[2] = meter.Int64Counter("lockkeeper_probe_dropped_total",
		metric.WithDescription("Probes that were not made as too many of the same target were under way, by module."))
	t.targets, errs[3] = meter.Int64Gauge("lockkeeper_probe_targets", metric.WithDescription("Targets that are probed, by module."))
	return t, errors.Join(errs[:]...)
}

// begin makes the series of a module exist.
func (t *telemetry) begin(module string) {
	of := metric.WithAttributes(attribute.String("module", module))
	t.errors.Add(context.Background(), 0, of)
	t.dropped.Add(context.Background(), 0, of)
	t.discarded.Add(context.Background(), 0, metric.WithAttributes(attribute.String("reason", "late")))
}

// probing tells how many targets a module has.
func (t *telemetry) probing(module string, targets int) {
	t.targets.Record(context.Background(), int64(targets), metric.WithAttributes(attribute.String("module", module)))
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
