package probes

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// requestTargets is how many targets go into one request to the next consumer.
const requestTargets = 500

// flushed are the metrics of some targets.
type flushed struct {
	pmetric.Metrics
	families pmetric.MetricSlice
	points   map[string]pmetric.NumberDataPointSlice
	now      pcommon.Timestamp
	gateway  string
}

func newFlushed(now time.Time, gateway string) *flushed {
	f := &flushed{
		Metrics: pmetric.NewMetrics(), points: map[string]pmetric.NumberDataPointSlice{}, now: pcommon.NewTimestampFromTime(now), gateway: gateway,
	}
	scope := f.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("github.com/lockkeeper/lockkeeper/probes")
	f.families = scope.Metrics()
	return f
}

// flush returns the metrics of all targets, and clears what is told only once.
func (e *engine) flush(now time.Time) (all []pmetric.Metrics) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var f *flushed
	n := 0
	add := func(w *watched, values []Value, gone bool) {
		if n%requestTargets == 0 {
			f = newFlushed(now, e.gateway)
			all = append(all, f.Metrics)
		}
		n++
		f.add(w, values, gone)
	}
	for _, w := range e.watched {
		switch {
		case w.at.IsZero():
		case now.Sub(w.at) > w.target.next(w.timeout): // silent: nothing is known of it
			add(w, nil, false)
		default:
			add(w, valuesOf(&w.last, e.modules[w.target.Module].Prober), false)
		}
	}
	for _, w := range e.gone {
		add(w, nil, true)
	}
	e.gone = nil
	return all
}

// valuesOf are all values of a result.
func valuesOf(r *Result, prober string) []Value {
	values := make([]Value, 2, 2+len(r.Phases)+len(r.Values))
	values[0] = Value{Name: "probe_success"}
	if r.OK {
		values[0].Number = 1
	}
	values[1] = Value{Name: "probe_duration_seconds", Number: r.Took.Seconds()}
	for _, p := range r.Phases {
		values = append(values, Value{Name: "probe_" + prober + "_duration_seconds", Label: "phase", Is: p.Name, Number: p.Took.Seconds()})
	}
	return append(values, r.Values...)
}

// add writes what is known of a target. What was known at the last flush and is not any more gets the flag that says so.
func (f *flushed) add(w *watched, values []Value, gone bool) {
	for _, v := range values {
		f.gauge(w, v, false)
	}
	for _, old := range w.told {
		if !slices.ContainsFunc(values, func(v Value) bool { return v.Name == old.Name && v.Is == old.Is }) {
			f.gauge(w, old, true)
		}
	}
	w.told = values
	for i, result := range []string{"failure", "success"} {
		p := f.point(w, "lockkeeper_probe_results_total", true, gone)
		p.Attributes().PutStr("result", result)
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(w.since))
		p.SetIntValue(w.counts[i])
	}
}

func (f *flushed) gauge(w *watched, v Value, ended bool) {
	p := f.point(w, v.Name, false, ended)
	if v.Label != "" {
		p.Attributes().PutStr(v.Label, v.Is)
	}
	p.SetDoubleValue(v.Number)
}

// point adds one to the family of a name, with the labels of a target.
func (f *flushed) point(w *watched, name string, counter, ended bool) pmetric.NumberDataPoint {
	points, ok := f.points[name]
	if !ok {
		family := f.families.AppendEmpty()
		family.SetName(name)
		if counter {
			sum := family.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			points = sum.DataPoints()
		} else {
			points = family.SetEmptyGauge().DataPoints()
		}
		f.points[name] = points
	}
	p := points.AppendEmpty()
	p.SetTimestamp(f.now)
	p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(ended))
	t := w.target
	instance := t.Address
	if instance == "" {
		instance = t.Target
	}
	for _, label := range [...][2]string{
		{"module", t.Module},
		{"target", t.Target},
		{"instance", instance},
		{"subject", t.Subject},
		{"idc", w.evidence.IDC},
		{"gateway", f.gateway},
	} {
		if label[1] != "" {
			p.Attributes().PutStr(label[0], label[1])
		}
	}
	return p
}
