package failover

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

// Bounds of what may be asked for.
const (
	maxShift      = 30 * 24 * time.Hour
	maxShiftSteps = 100
	maxShiftWhy   = 1000 // bytes
)

// PlanRequest asks for a shift, as people write it.
type PlanRequest struct {
	To      map[string]float64 `json:"to"`              // percent by IDC; the others share the rest as their base weights are
	Steps   []StepRequest      `json:"steps,omitempty"` // what is passed on the way to To
	For     Span               `json:"for,omitzero"`    // from beginning to end; then what held before holds again
	Hard    bool               `json:"hard,omitempty"`  // a weight 0 does not yield when no other healthy IDC is left
	Scope   Scope              `json:"scope,omitempty"` // "": entry
	AbortIf *AbortIf           `json:"abort_if,omitempty"`
	Why     string             `json:"why,omitempty"`
	Force   bool               `json:"force,omitempty"`   // also beyond an IDC's capacity
	Replace bool               `json:"replace,omitempty"` // also when another plan is under way; for the caller of ParsePlan to heed
}

// StepRequest is one step: Percent of the one IDC that the request's To names, or To. The last one may be the request's To itself, else that
// comes after it.
type StepRequest struct {
	Percent *float64           `json:"percent,omitempty"`
	To      map[string]float64 `json:"to,omitempty"`
	For     Span               `json:"for,omitzero"` // how long it holds
}

// Span is a time.Duration that is written as text: "10m".
type Span time.Duration

// String writes a span without the zeros that time.Duration has at its end.
func (s Span) String() string {
	text := time.Duration(s).String()
	if cut, ok := strings.CutSuffix(text, "m0s"); ok {
		text = cut + "m"
	}
	if cut, ok := strings.CutSuffix(text, "h0m"); ok {
		text = cut + "h"
	}
	return text
}

// MarshalText is for JSON.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes what time.ParseDuration takes.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no time: write it like 30s, 10m or 4h", text)
	}
	*s = Span(d)
	return nil
}

// ParsePlan makes a plan of a request, or reports all its mistakes at once. The plan asks for its first step from Succeed on; before, it is what
// a dry run shows.
func ParsePlan(request PlanRequest, rules Rules, now time.Time) (*Plan, error) {
	p := planner{request: request, idcs: rules.IDCs, base: rules.Base()}
	steps := p.steps()
	p.checkTimes(steps)
	p.checkCapacity(steps)
	p.check(len(request.Why) <= maxShiftWhy, "why: longer than %d bytes", maxShiftWhy)
	scope := cmp.Or(request.Scope, ScopeEntry)
	p.check(scope == ScopeEntry || scope == ScopeMesh || scope == ScopeBoth, "scope: %q: must be entry, mesh or both", request.Scope)
	p.errs = append(p.errs, request.AbortIf.validate()...)
	p.check(request.AbortIf == nil || scope != ScopeMesh, "abort_if: what is measured is what enters an IDC: it needs scope entry or both")
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	plan := &Plan{
		ID: now.UTC().Format("shift-20060102-150405.000"), Why: request.Why, At: now, Scope: scope, Hard: request.Hard, Steps: steps,
		AbortIf: request.AbortIf.withDefaults(), Base: p.base, State: Running, StepAt: now,
	}
	if whole := p.whole(steps); whole > 0 {
		plan.Expires = now.Add(whole)
	}
	return plan, nil
}

// planner reads one request.
type planner struct {
	request PlanRequest
	idcs    map[string]IDC
	base    map[string]uint32
	errs    []error
}

func (p *planner) check(ok bool, format string, args ...any) {
	if !ok {
		p.errs = append(p.errs, fmt.Errorf(format, args...))
	}
}

// steps are those asked for and, unless it is the last of them, the target.
func (p *planner) steps() (steps []Step) {
	target := p.weights("to", p.request.To)
	if len(p.request.Steps) > maxShiftSteps {
		p.check(false, "steps: %d are too many: %d at most", len(p.request.Steps), maxShiftSteps)
		return nil
	}
	for i, s := range p.request.Steps {
		path, to := fmt.Sprintf("steps[%d]", i), s.To
		switch {
		case (s.Percent == nil) == (s.To == nil):
			p.check(false, "%s: say percent or to, one of both", path)
			continue
		case s.Percent != nil && len(p.request.To) != 1:
			p.check(false, "%s::percent: whose? It needs one IDC in to, which names %d: give the step a to of its own", path, len(p.request.To))
			continue
		case s.Percent != nil:
			for idc := range p.request.To {
				to = map[string]float64{idc: *s.Percent}
			}
		}
		p.check(s.For >= 0, "%s::for: %s: must be above 0", path, s.For)
		steps = append(steps, Step{p.weights(path, to), s.For})
	}
	if len(steps) == 0 || !maps.Equal(steps[len(steps)-1].Weights, target) {
		steps = append(steps, Step{Weights: target})
	}
	return steps
}

// weights makes percents weights of all IDCs. It returns nil when they are wrong.
func (p *planner) weights(path string, percent map[string]float64) map[string]uint32 {
	known, before := slices.Sorted(maps.Keys(p.base)), len(p.errs)
	if len(percent) == 0 {
		p.check(false, "%s: name an IDC and its percent, such as idc2=1; there are %s", path, strings.Join(known, ", "))
		return nil
	}
	weights, sum, sumPercent, others := map[string]uint32{}, uint64(0), 0.0, maps.Clone(p.base)
	for _, idc := range slices.Sorted(maps.Keys(percent)) {
		v := percent[idc]
		units := math.Round(v * xds.Whole / 100)
		_, ok := p.base[idc]
		p.check(ok, "%s::%s: no such IDC; there are %s", path, idc, strings.Join(known, ", "))
		switch {
		case !(v >= 0 && v <= 100):
			p.check(false, "%s::%s: %v: must be 0 to 100 percent", path, idc, v)
			continue
		case math.Abs(v*xds.Whole/100-units) > 1e-6:
			p.check(false, "%s::%s: %v: finer than 0.01 percent", path, idc, v)
		}
		weights[idc] = uint32(units)
		sum += uint64(units)
		sumPercent += v
		delete(others, idc)
	}
	if len(p.errs) > before {
		return nil
	}
	if len(others) == 0 && sum != xds.Whole {
		p.check(false, "%s: sums to %g percent, and all IDCs are named: must be 100", path, sumPercent)
		return nil
	} else if sum > xds.Whole {
		p.check(false, "%s: sums to %g percent: must be 100 at most", path, sumPercent)
		return nil
	}
	p.rest(weights, others, uint32(xds.Whole-sum))
	return weights
}

// rest divides what is left among the others as their base weights are.
func (p *planner) rest(weights, others map[string]uint32, left uint32) {
	names, parts := slices.Sorted(maps.Keys(others)), make([]float64, len(others))
	for i, idc := range names {
		parts[i] = p.idcs[idc].Weight
	}
	for i, weight := range split(left, parts) {
		weights[names[i]] = weight
	}
}

func (p *planner) checkTimes(steps []Step) {
	if len(steps) == 0 {
		return
	}
	passed := time.Duration(0)
	for i, s := range steps[:len(steps)-1] {
		p.check(s.For >= Span(time.Second), "steps[%d]::for: %s: how long does it hold? 1s at least", i, s.For)
		passed += min(time.Duration(s.For), 2*maxShift)
	}
	p.check(passed <= maxShift, "steps: they take %s: %s at most", Span(passed), Span(maxShift))
	last, asked := steps[len(steps)-1], time.Duration(p.request.For)
	p.check(asked >= 0, "for: %s: must be above 0", p.request.For)
	p.check(asked <= 0 || asked > passed, "for: it ends after %s, before its last step begins after %s", p.request.For, Span(passed))
	switch whole := p.whole(steps); {
	case whole > maxShift:
		p.check(false, "for: %s: %s at most; for what stays, change the weights in the configuration", Span(whole), Span(maxShift))
	case whole <= 0 && asked == 0 && last.Weights != nil && !maps.Equal(last.Weights, p.base):
		p.check(false, "for: say how long, such as 30m: a shift always ends by itself, unless its last step is the base weights (%s)", percents(p.base))
	}
}

// whole is the time from beginning to end: what is asked, else what the steps take if the last one has a time, too; 0 for a plan that ends
// with base weights.
func (p *planner) whole(steps []Step) time.Duration {
	if p.request.For != 0 {
		return time.Duration(p.request.For)
	}
	whole := time.Duration(0)
	for _, s := range steps {
		whole += min(time.Duration(s.For), 2*maxShift)
	}
	if last := steps[len(steps)-1]; last.For == 0 || maps.Equal(last.Weights, p.base) {
		return 0
	}
	return whole
}

// checkCapacity refuses to give an IDC more than base weights do and more than it can carry.
func (p *planner) checkCapacity(steps []Step) {
	if p.request.Force {
		return
	}
	for i, s := range steps {
		for _, idc := range slices.Sorted(maps.Keys(s.Weights)) {
			weight, capacity := s.Weights[idc], p.idcs[idc].CapacityPercent
			if weight > p.base[idc] && float64(weight)*100/xds.Whole > float64(capacity) {
				p.check(false, "step %d: %s would get %g percent of all traffic and can carry %v (idcs::%s::capacity_percent): give it less, or force it",
					i+1, idc, float64(weight)*100/xds.Whole, capacity, idc)
			}
		}
	}
}
