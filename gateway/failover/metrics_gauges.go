package failover

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// read observes all gauges: what is no more has no series any more.
func (m *metrics) read(_ context.Context, o metric.Observer) error {
	m.readShared(o)
	v, _ := m.board.get()
	if v == nil {
		return nil
	}
	set := func(name string, value int64, labels ...attribute.KeyValue) {
		o.ObserveInt64(m.gauges[name], value, metric.WithAttributes(labels...))
	}
	m.readSubjects(v, set)
	for idc, weight := range v.decision.Serving.IDCs {
		set("lockkeeper_failover_weight", int64(weight.Entry), attribute.String("idc", idc), attribute.String("scope", "entry"))
		set("lockkeeper_failover_weight", int64(weight.Mesh), attribute.String("idc", idc), attribute.String("scope", "mesh"))
	}
	for idc, weight := range v.asked.Entry {
		set("lockkeeper_failover_weight_asked", int64(weight), attribute.String("idc", idc), attribute.String("scope", "entry"))
	}
	for idc, weight := range v.asked.Mesh {
		set("lockkeeper_failover_weight_asked", int64(weight), attribute.String("idc", idc), attribute.String("scope", "mesh"))
	}
	set("lockkeeper_failover_degraded", number(v.decision.Serving.Degraded))
	set("lockkeeper_failover_frozen", int64(len(v.decision.Frozen)))
	holds := map[Action]int64{Keep: 0, Eject: 0, Restore: 0}
	for _, h := range v.holds {
		holds[h.Action]++
	}
	for action, n := range holds {
		set("lockkeeper_failover_holds", n, attribute.String("action", string(action)))
	}
	for name := range v.decision.Alarms {
		set("lockkeeper_failover_alarms", 1, attribute.String("alarm", name))
	}
	problem, _, aside := m.keeper.broken(time.Now())
	set("lockkeeper_failover_state_broken", number(problem != "" || len(aside) > 0))
	set("lockkeeper_shift_active", number(v.active))
	return nil
}

// readShared tells of what gateways share; of a gateway alone there is nothing.
func (m *metrics) readShared(o metric.Observer) {
	if m.shared == nil {
		return
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	for _, t := range topics() {
		by := metric.WithAttributes(attribute.String("topic", string(t)))
		o.ObserveInt64(m.gauges["lockkeeper_failover_shared"], int64(len(m.shared.ledger.entries[t])), by)
		o.ObserveInt64(m.conflicts, m.shared.ledger.conflicts[t], by)
	}
	o.ObserveInt64(m.mended, m.shared.ledger.mended)
	for _, reason := range refusals() {
		o.ObserveInt64(m.entriesRefused, m.shared.ledger.refused[reason], metric.WithAttributes(attribute.String("reason", reason)))
	}
}

// readSubjects counts subjects; kinds and healths without any have a 0.
func (m *metrics) readSubjects(v *view, set func(name string, value int64, labels ...attribute.KeyValue)) {
	type group struct {
		kind   string
		health Health
	}
	subjects, out, would := map[group]int64{}, map[string]int64{}, map[string]int64{}
	for _, kind := range Kinds() {
		for _, health := range []Health{Unknown, Healthy, Dead, Gray} {
			subjects[group{kind, health}] = 0
		}
	}
	vetoed := map[string]int64{}
	for _, kind := range []string{kindMachine, kindEndpoint} {
		out[kind], would[kind], vetoed[kind] = 0, 0, 0
	}
	for i := range v.opinions {
		if v.opinions[i].Vetoed {
			vetoed[Kind(v.opinions[i].Subject)]++
		}
	}
	for subject, verdict := range v.decision.Verdict {
		subjects[group{Kind(subject), verdict.Health}]++
	}
	for subject := range v.decision.Serving.Out {
		out[Kind(subject)]++
	}
	for subject := range v.decision.Would.Out {
		would[Kind(subject)]++
	}
	for g, n := range subjects {
		set("lockkeeper_failover_subjects", n, attribute.String("kind", g.kind), attribute.String("health", g.health.word()))
	}
	for kind, n := range out {
		set("lockkeeper_failover_out", n, attribute.String("kind", kind))
	}
	for kind, n := range vetoed {
		set("lockkeeper_failover_vetoed", n, attribute.String("kind", kind))
	}
	for kind, n := range would {
		set("lockkeeper_failover_would_out", n, attribute.String("kind", kind))
	}
}

func number(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
