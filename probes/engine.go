package probes

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
)

// observer is an extension that wants evidence. It returns quickly, may be called concurrently, and does not keep the slice.
type observer interface {
	Observe(evidence []Evidence)
}

// engine knows the targets, hands them to the drivers, and makes evidence and metrics of what these report.
type engine struct {
	modules   map[string]*Module
	observers []observer
	telemetry *telemetry
	scheduler driver
	pinger    driver // nil: no module is of kind icmp
	gateway   string // that probes, for its metrics; empty: they do not say

	mu      sync.Mutex
	targets map[Target]*Target
	watched map[*Target]*watched
	gone    []*watched // since the last flush
	broken  map[string]error
}

// watched is what is kept of a target.
type watched struct {
	target   *Target
	evidence Evidence // what does not change from one result to the next
	timeout  time.Duration
	since    time.Time
	counts   [2]int64 // of failures and successes
	last     Result
	at       time.Time // when the last probe began; zero: there was none
	told     []Value   // at the last flush
	history  history
}

// newEngine opens the modules that targets use.
func newEngine(modules map[string]*Module, around surroundings, observers []observer, t *telemetry) (*engine, error) {
	e := &engine{modules: modules, observers: observers, telemetry: t, targets: map[Target]*Target{}, watched: map[*Target]*watched{}, broken: map[string]error{}}
	ways, pings := map[string]way{}, map[string]*Module{}
	for name, m := range modules {
		t.begin(name)
		if m.Prober == "icmp" {
			pings[name] = m
			continue
		}
		probe, err := kinds()[m.Prober].open(m, around)
		if err != nil {
			return nil, fmt.Errorf("modules::%s: %w", name, err)
		}
		ways[name] = way{probe, m.Timeout}
	}
	e.scheduler = newScheduler(ways, e.take, t.drop)
	if len(pings) > 0 {
		pinger, err := newPinger(pings, e.take)
		if err != nil {
			return nil, err
		}
		if err := pinger.observe(t.meter); err != nil {
			return nil, err
		}
		e.pinger = pinger
	}
	return e, nil
}

// run makes probes until ctx ends.
func (e *engine) run(ctx context.Context) {
	var tasks sync.WaitGroup
	tasks.Go(func() { e.scheduler.run(ctx) })
	if e.pinger != nil {
		tasks.Go(func() { e.pinger.run(ctx) })
	}
	tasks.Wait()
}

// set tells all targets. Those that were there before go on; equal ones are one.
func (e *engine) set(targets []Target) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, before := time.Now(), e.watched
	known := make(map[Target]*Target, len(targets))
	e.watched = make(map[*Target]*watched, len(targets))
	probes, ofModule := map[string]int{}, map[string]int{}
	var scheduled, pinged []*Target
	for _, t := range targets {
		if known[t] != nil {
			continue
		}
		own := e.targets[t]
		if own == nil {
			own = &t
		}
		known[t] = own
		e.watched[own] = before[own]
		if before[own] == nil {
			e.watched[own] = newWatched(own, e.modules[t.Module].Timeout, now)
		}
		probes[t.Subject]++
		ofModule[t.Module]++
		if e.modules[t.Module].Prober == "icmp" {
			pinged = append(pinged, own)
		} else {
			scheduled = append(scheduled, own)
		}
	}
	for t, w := range before {
		if e.watched[t] == nil {
			e.gone = append(e.gone, w)
		}
	}
	e.targets = known
	for name := range e.modules {
		e.telemetry.probing(name, ofModule[name])
	}
	for t, w := range e.watched {
		w.evidence.Probes = probes[t.Subject]
	}
	e.scheduler.set(scheduled)
	if e.pinger != nil {
		e.pinger.set(pinged)
	}
}

func newWatched(t *Target, timeout time.Duration, now time.Time) *watched {
	idc, _ := idcOf(t.Subject) // validated
	if t.IDC != "" {
		idc = t.IDC
	}
	return &watched{
		target: t, timeout: timeout, since: now,
		evidence: Evidence{Subject: t.Subject, IDC: idc, Probe: t.probe(), Next: t.next(timeout)},
	}
}

// take makes evidence of outcomes, and keeps what the metrics tell.
func (e *engine) take(outcomes []outcome) {
	evidence := make([]Evidence, 0, len(outcomes))
	e.mu.Lock()
	for i := range outcomes {
		o := &outcomes[i]
		w := e.watched[o.target]
		switch {
		case w == nil: // taken away meanwhile
			continue
		case o.late:
			e.telemetry.discard("late")
			continue
		case o.Err != nil:
			e.telemetry.fail(o.target.Module)
			e.broken[o.target.Module] = fmt.Errorf("%s: %w", o.target.Target, o.Err)
		}
		w.history.add(o.at, &w.last, &o.Result)
		w.last, w.at = o.Result, o.at
		if o.OK {
			w.counts[1]++
		} else {
			w.counts[0]++
		}
		if o.Err != nil || w.evidence.Subject == "" || o.again && !o.OK {
			continue
		}
		one := w.evidence
		one.At, one.OK, one.Reason = o.at, o.OK, o.Reason
		evidence = append(evidence, one)
	}
	e.mu.Unlock()
	if len(evidence) > 0 {
		for _, observer := range e.observers {
			observer.Observe(evidence)
		}
	}
}

// problems are what hindered probes since it was asked last, by module.
func (e *engine) problems() map[string]error {
	e.mu.Lock()
	defer e.mu.Unlock()
	broken := e.broken
	e.broken = map[string]error{}
	return broken
}

// observersOf finds who wants evidence.
func observersOf(host component.Host) (all []observer) {
	for _, extension := range host.GetExtensions() {
		if o, ok := extension.(observer); ok {
			all = append(all, o)
		}
	}
	return all
}
