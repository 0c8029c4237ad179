package failover

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/lockkeeper/lockkeeper/probes"
)

// metrics of failover, documented in README.md. Gauges are read off the board when somebody asks.
type metrics struct {
	board  *board
	keeper *keeper
	shared *sharing // nil: this gateway is alone

	evidence, dropped, decisions, changes, errors, lost, refused metric.Int64Counter
	duration                                                     metric.Float64Histogram
	gauges                                                       map[string]metric.Int64ObservableGauge
	conflicts, entriesRefused, mended                            metric.Int64ObservableCounter
	registered                                                   metric.Registration
	meter                                                        metric.Meter

	kinds map[string]metric.MeasurementOption // of evidence
}

const otherKind = "other" // of subjects of kinds that there are not

func newMetrics(provider metric.MeterProvider, b *board) (*metrics, error) {
	meter := provider.Meter("github.com/lockkeeper/lockkeeper/gateway/failover")
	var errs []error
	counter := func(name, description string) metric.Int64Counter {
		c, err := meter.Int64Counter("lockkeeper_failover_"+name, metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	m := &metrics{
		board: b, meter: meter, gauges: map[string]metric.Int64ObservableGauge{}, kinds: map[string]metric.MeasurementOption{},
		evidence:  counter("evidence_total", "Observations taken, by kind of subject."),
		dropped:   counter("evidence_dropped_total", "Observations dropped because too many waited."),
		decisions: counter("decisions_total", "Decisions made, most of which change nothing."),
		changes:   counter("changes_total", "Decisions that changed what is served."),
		errors:    counter("state_errors_total", "Writes to the data directory that failed; they are tried again."),
		refused:   counter("readers_refused_total", "Clients that could not follow the events because too many do."),
		lost:      counter("audit_dropped_total", "Lines of the audit that are not on disk because too many waited."),
	}
	var err error
	m.duration, err = meter.Float64Histogram("lockkeeper_failover_decision_duration_seconds", metric.WithUnit("s"),
		metric.WithDescription("How long decisions took."),
		metric.WithExplicitBucketBoundaries(1e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 1))
	errs = append(errs, err)
	gauge := func(name, description string) {
		g, err := meter.Int64ObservableGauge(name, metric.WithDescription(description))
		m.gauges[name] = g
		errs = append(errs, err)
	}
	gauge("lockkeeper_failover_subjects", "Subjects, by kind and by what is held of them.")
	gauge("lockkeeper_failover_out", "Subjects that are taken out, by kind.")
	gauge("lockkeeper_failover_would_out", "Subjects that were taken out if every kind were in mode act, by kind.")
	gauge("lockkeeper_failover_weight", "Weight of an IDC, of 10,000.")
	gauge("lockkeeper_failover_weight_asked", "Weight of an IDC that a shift plan asks for, of 10,000.")
	gauge("lockkeeper_failover_degraded", "1 while what is served is not what people asked for, else 0.")
	gauge("lockkeeper_failover_frozen", "Clusters and IDCs of which nothing more is taken out.")
	gauge("lockkeeper_failover_vetoed", "Subjects that their probes call dead and that are healthy, since those who call them succeed, by kind.")
	gauge("lockkeeper_failover_holds", "Holds of people, by what they ask for.")
	gauge("lockkeeper_failover_alarms", "1 for each thing that is wrong with the decision itself.")
	gauge("lockkeeper_failover_state_broken", "1 while the data directory takes nothing, or has a state that could not be read, else 0.")
	gauge("lockkeeper_failover_shared", "What gateways share, by topic.")
	observable := func(name, description string) metric.Int64ObservableCounter {
		c, err := meter.Int64ObservableCounter("lockkeeper_failover_"+name, metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	m.conflicts = observable("shared_conflicts_total", "What another gateway overruled within ten seconds of this one's writing it, by topic.")
	m.mended = observable("shared_clock_mended_total", "How often this gateway's clock was found to have been wrong at its start, and mended.")
	m.entriesRefused = observable("shared_refused_total", "What other gateways told and this one refused, by reason.")
	gauge("lockkeeper_shift_active", "1 while a shift plan moves traffic, else 0.")
	for _, kind := range append(Kinds(), otherKind) {
		m.kinds[kind] = metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", kind)))
	}
	return m, errors.Join(errs...)
}

// begin makes every counter visible before it counts, and the gauges readable.
func (m *metrics) begin(k *keeper, s *sharing) error {
	for _, option := range m.kinds {
		m.evidence.Add(context.Background(), 0, option)
	}
	for _, c := range []metric.Int64Counter{m.dropped, m.decisions, m.changes, m.lost, m.refused} {
		c.Add(context.Background(), 0)
	}
	for _, what := range []string{"state", "audit"} {
		m.errors.Add(context.Background(), 0, metric.WithAttributes(attribute.String("what", what)))
	}
	m.keeper, m.shared = k, s
	var all []metric.Observable
	for _, g := range m.gauges {
		all = append(all, g)
	}
	all = append(all, m.conflicts, m.entriesRefused, m.mended)
	var err error
	m.registered, err = m.meter.RegisterCallback(m.read, all...)
	return err
}

func (m *metrics) end() {
	if m.registered != nil {
		_ = m.registered.Unregister() // never fails
	}
}

func (m *metrics) observed(evidence []probes.Evidence) {
	for len(evidence) > 0 { // mostly of one kind
		kind, n := Kind(evidence[0].Subject), 1
		for n < len(evidence) && Kind(evidence[n].Subject) == kind {
			n++
		}
		option, ok := m.kinds[kind]
		if !ok {
			option = m.kinds[otherKind]
		}
		m.evidence.Add(context.Background(), int64(n), option)
		evidence = evidence[n:]
	}
}

func (m *metrics) evidenceDropped(n int) { m.dropped.Add(context.Background(), int64(n)) }

func (m *metrics) decided(took time.Duration, changed bool) {
	m.decisions.Add(context.Background(), 1)
	m.duration.Record(context.Background(), took.Seconds())
	if changed {
		m.changes.Add(context.Background(), 1)
	}
}

func (m *metrics) stateError(what string) {
	m.errors.Add(context.Background(), 1, metric.WithAttributes(attribute.String("what", what)))
}

func (m *metrics) readerRefused() { m.refused.Add(context.Background(), 1) }

func (m *metrics) auditDropped(n int) { m.lost.Add(context.Background(), int64(n)) }
