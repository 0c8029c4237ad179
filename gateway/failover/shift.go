package failover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Scope says which weights a shift moves.
type Scope string

// Of a request, "" is ScopeEntry.
const (
	ScopeEntry Scope = "entry" // those of DNS and edge routes
	ScopeMesh  Scope = "mesh"  // those inside the mesh
	ScopeBoth  Scope = "both"
)

// PlanState is how far a plan is.
type PlanState string

// A plan that is done or aborted asks for what held before it, as long as that lasts.
const (
	Running PlanState = "running" // there are steps ahead
	Waiting PlanState = "waiting" // the step's time is over, and nothing tells whether the next may come
	Holding PlanState = "holding" // the last step is reached
	Done    PlanState = "done"    // its time is over, or base weights are reached
	Aborted PlanState = "aborted"
)

// Plan moves traffic between IDCs step by step, and gives it back. It is a state machine on time and on what the mesh's ingress sees, and does
// no I/O. Written as JSON and read again it goes on where it was: its end is a time of the wall clock. Its methods must not be called
// concurrently.
type Plan struct {
	ID      string            `json:"id"`
	By      string            `json:"by"` // whoever asked for it; the caller of ParsePlan sets it
	Why     string            `json:"why,omitempty"`
	At      time.Time         `json:"at"`               // when it began
	Expires time.Time         `json:"expires,omitzero"` // it ends by itself then; zero: when it has reached base weights
	Scope   Scope             `json:"scope"`
	Hard    bool              `json:"hard,omitempty"`
	Steps   []Step            `json:"steps"`
	AbortIf *AbortIf          `json:"abort_if,omitempty"`
	Base    map[string]uint32 `json:"base"`             // weights without a shift, when it began
	Before  *Before           `json:"before,omitempty"` // nil: base weights

	State  PlanState `json:"state"`
	Stage  int       `json:"stage"`          // the index of the step that holds, or held last
	StepAt time.Time `json:"step_at"`        // when that began
	Note   string    `json:"note,omitempty"` // why it waits, or ended
	Ended  time.Time `json:"ended,omitzero"`

	recent map[string]window  // of the last abortWindow, by IDC
	since  map[string]*sample // since StepAt, by IDC
	looked time.Time          // when Step was called last
}

// Step is a stage of a plan.
type Step struct {
	Weights map[string]uint32 `json:"weights"`      // of every IDC; they sum to xds.Whole
	For     Span              `json:"for,omitzero"` // of the last step zero: until the plan ends
}

// Before is what an earlier plan asked for when this one replaced it. It holds again when this one ends.
type Before struct {
	Shift Shift     `json:"shift"`
	Until time.Time `json:"until"`
}

// Active tells whether the plan has not ended. Of nil it is false.
func (p *Plan) Active() bool {
	return p != nil && p.State != Done && p.State != Aborted && p.Stage >= 0 && p.Stage < len(p.Steps)
}

// Shift is what the plan asks for now: of nil, and of one that has ended with nothing before it, nothing.
func (p *Plan) Shift(now time.Time) Shift {
	switch {
	case p == nil:
	case p.Active() && (p.Expires.IsZero() || now.Before(p.Expires)):
		s := Shift{ID: p.ID, Hard: p.Hard, By: p.By}
		weights := p.Steps[p.Stage].Weights
		if p.Scope != ScopeMesh {
			s.Entry = maps.Clone(weights)
		}
		if p.Scope != ScopeEntry {
			s.Mesh = maps.Clone(weights)
		}
		return s
	case p.Before != nil && now.Before(p.Before.Until):
		return p.Before.Shift
	}
	return Shift{}
}

// Step advances the plan by one step at most, aborts it or ends it, and tells what it did. It is to be called at Next.
func (p *Plan) Step(now time.Time) []Event {
	if !p.Active() {
		if p != nil && p.Before != nil && !now.Before(p.Before.Until) {
			return p.forget(now, "the time of what was asked before is over")
		}
		return nil
	}
	p.looked = now
	if !p.Expires.IsZero() && !now.Before(p.Expires) {
		return p.end(now, Done, "its time is over", "")
	}
	if why := p.broken(now); why != "" {
		return p.end(now, Aborted, why, "")
	}
	if p.Stage == len(p.Steps)-1 {
		return nil
	}
	if now.Sub(p.StepAt) < time.Duration(p.Steps[p.Stage].For) {
		return nil
	}
	if why := p.blind(now); why != "" {
		known := p.State == Waiting
		p.State, p.Note = Waiting, why
		if known {
			return nil
		}
		return []Event{p.event(now, fmt.Sprintf("waits with step %d of %d", p.Stage+2, len(p.Steps)), why)}
	}
	return p.enter(now, p.Stage+1)
}

// enter begins a step. One that reaches base weights for good is the end.
func (p *Plan) enter(now time.Time, step int) []Event {
	e := p.event(now, "", p.Why)
	e.Undoes = percents(p.Steps[p.Stage].Weights)
	p.Stage, p.StepAt, p.State, p.Note, p.since = step, now, Running, "", nil
	e.What = fmt.Sprintf("step %d of %d: %s", step+1, len(p.Steps), percents(p.Steps[step].Weights))
	if step == len(p.Steps)-1 {
		p.State = Holding
	}
	if p.State == Holding && p.Expires.IsZero() {
		p.Before = nil
		return append([]Event{e}, p.end(now, Done, "base weights are reached", "")...)
	}
	return []Event{e}
}

// Abort ends the plan by a person's word. What held before it holds again; a second Abort ends that, too. It returns nothing when there is
// nothing to end.
func (p *Plan) Abort(now time.Time, who, why string) []Event {
	switch {
	case p.Active():
		return p.end(now, Aborted, cmp.Or(why, "a person ended it"), who)
	case p != nil && p.Before != nil:
		events := p.forget(now, cmp.Or(why, "a person ended it"))
		events[0].Who = who
		return events
	}
	return nil
}

// Heed aborts the plan when an IDC that gains by it is unhealthy. Whatever it asks, verdicts overrule it meanwhile. A plan that has reached
// its last step and names no abort conditions stays: a drain must not end because the other side was ill for some seconds. Nor does a hard
// one end: it would let the other IDC serve.
func (p *Plan) Heed(now time.Time, verdicts map[string]Verdict) []Event {
	if !p.Active() || p.Hard || p.State == Holding && p.AbortIf == nil {
		return nil
	}
	for _, idc := range p.gaining() {
		for _, side := range p.sides() {
			subject := "idc/" + idc + "/" + string(side)
			if v := verdicts[subject]; v.Health == Dead || v.Health == Gray {
				return p.end(now, Aborted, fmt.Sprintf("%s is %s: %s", subject, v.Health, v.Why), "")
			}
		}
	}
	return nil
}

// Fit ends a plan that was made for other IDCs than the configuration has by now, and forgets what it remembers of them. It is for a plan that
// was read from a file.
func (p *Plan) Fit(now time.Time, rules Rules) (events []Event) {
	if p == nil || maps.Equal(p.Base, rules.Base()) {
		return nil
	}
	known := slices.Sorted(maps.Keys(rules.IDCs))
	others := func(s Shift) bool {
		return s.Entry != nil && !slices.Equal(known, slices.Sorted(maps.Keys(s.Entry))) ||
			s.Mesh != nil && !slices.Equal(known, slices.Sorted(maps.Keys(s.Mesh)))
	}
	if p.Before != nil && others(p.Before.Shift) {
		p.Before = nil
	}
	if p.Base = rules.Base(); p.Active() && !slices.Equal(known, slices.Sorted(maps.Keys(p.Steps[0].Weights))) {
		return p.end(now, Aborted, "the configuration has other IDCs now: "+strings.Join(known, ", "), "")
	}
	return nil
}

// Succeed begins the plan in the place of old, which may be nil. What old asks for is remembered: it holds again when this one ends.
func (p *Plan) Succeed(now time.Time, old *Plan) []Event {
	asked := old.Shift(now)
	if until := old.until(); asked.ID != "" && now.Before(until) {
		p.Before = &Before{Shift: asked, Until: until}
	}
	var events []Event
	if old.Active() {
		events = append(events, old.end(now, Aborted, "replaced by "+p.ID, p.By)...)
	}
	first := p.enter(now, 0)
	first[0].What, first[0].Who, first[0].Undoes = "shift begins: "+p.String(), p.By, percents(p.before())
	return append(events, first...)
}

// until is when what the plan asks for ends at the latest; zero: it never does by itself.
func (p *Plan) until() time.Time {
	switch {
	case p == nil:
		return time.Time{}
	case p.Active() && !p.Expires.IsZero():
		return p.Expires
	case p.Before != nil:
		return p.Before.Until
	}
	return time.Time{}
}

// Next is when Step is to be called at the latest; zero: not by itself.
func (p *Plan) Next() time.Time {
	next := p.until()
	if !p.Active() {
		return next
	}
	if p.State == Running {
		if at := p.StepAt.Add(time.Duration(p.Steps[p.Stage].For)); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if at := p.looked.Add(time.Second); (p.AbortIf != nil || p.State == Waiting) && (next.IsZero() || at.Before(next)) {
		next = at
	}
	return next
}

func (p *Plan) end(now time.Time, state PlanState, why, who string) []Event {
	undoes := percents(p.Steps[p.Stage].Weights)
	p.State, p.Note, p.Ended, p.recent, p.since = state, why, now, nil, nil
	e := p.event(now, "shift "+string(state)+": back to "+p.after(now), why)
	e.Who, e.Undoes = who, undoes
	return []Event{e}
}

// forget ends what an earlier plan had asked for.
func (p *Plan) forget(now time.Time, why string) []Event {
	undoes := percents(p.before())
	p.Before = nil
	e := p.event(now, "back to "+p.after(now), why)
	e.Undoes = undoes
	return []Event{e}
}

// sides are the ends of the subjects idc/… that the plan has to do with.
func (p *Plan) sides() []Scope {
	if p.Scope == ScopeBoth {
		return []Scope{ScopeEntry, ScopeMesh}
	}
	return []Scope{p.Scope}
}

// gaining are the IDCs that get traffic now and whose weight some step raises: a ramp from 1 to 50 percent that begins by lowering an IDC to 1 is
// all about how that one fares.
func (p *Plan) gaining() (idcs []string) {
	for idc, weight := range p.Steps[p.Stage].Weights {
		before := p.before()[idc]
		for _, s := range p.Steps {
			if weight > 0 && s.Weights[idc] > before {
				idcs = append(idcs, idc)
				break
			}
			before = s.Weights[idc]
		}
	}
	slices.Sort(idcs)
	return idcs
}

// before are the weights that held before the plan.
func (p *Plan) before() map[string]uint32 {
	switch {
	case p.Before == nil:
	case p.Scope != ScopeMesh && p.Before.Shift.Entry != nil:
		return p.Before.Shift.Entry
	case p.Scope == ScopeMesh && p.Before.Shift.Mesh != nil:
		return p.Before.Shift.Mesh
	}
	return p.Base
}
