package storage

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/metric"
)

// What the Collector's queue tells of itself, by gauges alone.
const (
	queueSize     = "otelcol_exporter_queue_size"
	queueCapacity = "otelcol_exporter_queue_capacity"
)

// gauges is a meter provider that passes everything on, and can be asked for the values of the gauges that are made by it.
type gauges struct {
	metric.MeterProvider
	mu        sync.Mutex
	callbacks []metric.Callback
}

// Meter implements metric.MeterProvider.
func (g *gauges) Meter(name string, options ...metric.MeterOption) metric.Meter {
	return meter{g.MeterProvider.Meter(name, options...), g}
}

// values are those of now, by the names of the gauges.
func (g *gauges) values(ctx context.Context) map[string]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	read := reading{values: map[string]int64{}}
	for _, callback := range g.callbacks {
		_ = callback(ctx, read) // whoever exports the metrics reports it
	}
	return read.values
}

type meter struct {
	metric.Meter
	gauges *gauges
}

// gauge is one with its name.
type gauge struct {
	metric.Int64ObservableGauge
	name string
}

// Int64ObservableGauge implements metric.Meter.
func (m meter) Int64ObservableGauge(name string, options ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	g, err := m.Meter.Int64ObservableGauge(name, options...)
	return gauge{g, name}, err
}

// RegisterCallback implements metric.Meter.
func (m meter) RegisterCallback(f metric.Callback, instruments ...metric.Observable) (metric.Registration, error) {
	own := make([]metric.Observable, len(instruments))
	for i, instrument := range instruments {
		if own[i] = instrument; instrument != nil {
			if g, ok := instrument.(gauge); ok {
				own[i] = g.Int64ObservableGauge
			}
		}
	}
	m.gauges.mu.Lock()
	m.gauges.callbacks = append(m.gauges.callbacks, f)
	m.gauges.mu.Unlock()
	return m.Meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error { return f(ctx, passing{o}) }, own...)
}

// passing hands a value on to the provider's own instrument.
type passing struct{ metric.Observer }

// ObserveInt64 implements metric.Observer.
func (p passing) ObserveInt64(instrument metric.Int64Observable, value int64, options ...metric.ObserveOption) {
	if g, ok := instrument.(gauge); ok {
		instrument = g.Int64ObservableGauge
	}
	p.Observer.ObserveInt64(instrument, value, options...)
}

// reading keeps values.
type reading struct {
	metric.Observer // nil: of floats none is asked for
	values          map[string]int64
}

// ObserveInt64 implements metric.Observer.
func (r reading) ObserveInt64(instrument metric.Int64Observable, value int64, _ ...metric.ObserveOption) {
	if g, ok := instrument.(gauge); ok {
		r.values[g.name] = value
	}
}

// ObserveFloat64 implements metric.Observer.
func (reading) ObserveFloat64(metric.Float64Observable, float64, ...metric.ObserveOption) {}
