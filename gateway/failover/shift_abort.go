package failover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
)

// abortWindow is the time whose traffic abort conditions look at, beside that since the step began.
const abortWindow = 15 * time.Second

// flagNames are Envoy's response flags by their short names.
const flagNames = " DC DF DI DO DPE DR DT FI IH LH LR NC NFCF NR OM OVERFLOW RFCF RL RLSE SI UAEX UC UDO UF UH UMSDR UO UPE UR URX UT "

// AbortIf says when a plan is aborted: if one condition holds of what enters an IDC that gains by the plan. Zero fields are no condition.
type AbortIf struct {
	ErrorRatio  float64            `json:"error_ratio,omitempty"` // more failures than this, of 1
	Flags       map[string]float64 `json:"flags,omitempty"`       // more requests with a response flag than this, of 1
	P99         float64            `json:"p99_ms,omitempty"`      // 99 of 100 requests take longer, by Istio's buckets
	MinRequests uint64             `json:"min_requests"`          // fewer tell nothing (100)
}

func (a *AbortIf) validate() (errs []error) {
	if a == nil {
		return nil
	}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("abort_if"+format, args...))
		}
	}
	ratio := func(v float64) bool { return v > 0 && v < 1 }
	check(a.ErrorRatio == 0 || ratio(a.ErrorRatio), "::error_ratio: %v: must be between 0 and 1, such as 0.05", a.ErrorRatio)
	for _, flag := range slices.Sorted(maps.Keys(a.Flags)) {
		check(ratio(a.Flags[flag]), "::flags::%s: %v: must be between 0 and 1, such as 0.01", flag, a.Flags[flag])
		check(flag != "" && strings.Contains(flagNames, " "+flag+" "), "::flags::%s: no response flag of Envoy's; they are%s", flag, strings.TrimRight(flagNames, " "))
	}
	check(a.P99 == 0 || a.P99 > 0 && a.P99 <= 3_600_000, "::p99_ms: %v: must be above 0, and 3600000 at most", a.P99)
	check(a.ErrorRatio != 0 || a.P99 != 0 || len(a.Flags) > 0, ": names no condition: error_ratio, flags or p99_ms")
	return errs
}

func (a *AbortIf) withDefaults() *AbortIf {
	if a == nil {
		return nil
	}
	with := *a
	if with.MinRequests == 0 {
		with.MinRequests = 100
	}
	return &with
}

// String is the conditions for people.
func (a *AbortIf) String() string {
	var parts []string
	if a.ErrorRatio > 0 {
		parts = append(parts, fmt.Sprintf("errors > %.4g %%", a.ErrorRatio*100))
	}
	for _, flag := range slices.Sorted(maps.Keys(a.Flags)) {
		parts = append(parts, fmt.Sprintf("%s > %.4g %%", flag, a.Flags[flag]*100))
	}
	if a.P99 > 0 {
		parts = append(parts, fmt.Sprintf("p99 > %g ms", a.P99))
	}
	return fmt.Sprintf("%s (of at least %d requests)", strings.Join(parts, " or "), a.MinRequests)
}

// broken says which condition a sample fulfils; "" without one, and of too few requests.
func (a *AbortIf) broken(s *sample) string {
	if s.requests < a.MinRequests {
		return ""
	}
	share := func(n uint64) float64 { return float64(n) / float64(s.requests) }
	if ratio := share(s.failures); a.ErrorRatio > 0 && ratio > a.ErrorRatio {
		return fmt.Sprintf("%.3g %% of %d requests failed, more than %.4g %%", ratio*100, s.requests, a.ErrorRatio*100)
	}
	for _, flag := range slices.Sorted(maps.Keys(a.Flags)) {
		if ratio := share(s.flags[flag]); ratio > a.Flags[flag] {
			return fmt.Sprintf("%.3g %% of %d requests had %s, more than %.4g %%", ratio*100, s.requests, flag, a.Flags[flag]*100)
		}
	}
	if p99 := s.quantile(.99); a.P99 > 0 && p99 > a.P99 {
		return fmt.Sprintf("p99 of %d requests is %.4g ms, more than %g ms", s.requests, p99, a.P99)
	}
	return ""
}

// Observe takes what the mesh saw enter an IDC; other evidence is none of the plan's.
func (p *Plan) Observe(e probes.Evidence) {
	if !p.Active() || p.AbortIf == nil || !entered(e) {
		return
	}
	if p.recent == nil {
		p.recent = map[string]window{}
	}
	if p.since == nil {
		p.since = map[string]*sample{}
	}
	w := p.recent[e.IDC]
	w.add(e, abortWindow)
	p.recent[e.IDC] = w
	if e.At.Before(p.StepAt) {
		return
	}
	if p.since[e.IDC] == nil {
		p.since[e.IDC] = &sample{}
	}
	p.since[e.IDC].add(e.Traffic)
}

// broken says which abort condition an IDC that gains fulfils: lately, or over the whole step.
func (p *Plan) broken(now time.Time) string {
	if p.AbortIf == nil {
		return ""
	}
	for _, idc := range p.gaining() {
		w := p.recent[idc]
		lately := w.sum(now, abortWindow)
		if why := p.AbortIf.broken(&lately); why != "" {
			return fmt.Sprintf("%s: in the last %s %s", idc, Span(abortWindow), why)
		}
		if s := p.since[idc]; s != nil {
			if why := p.AbortIf.broken(s); why != "" {
				return fmt.Sprintf("%s: since %s %s", idc, p.StepAt.UTC().Format(time.TimeOnly), why)
			}
		}
	}
	return ""
}

// blind says why abort conditions cannot tell whether the step was good; "" if they can, or none are asked.
func (p *Plan) blind(now time.Time) string {
	if p.AbortIf == nil {
		return ""
	}
	for _, idc := range p.gaining() {
		w, requests := p.recent[idc], uint64(0)
		if s := p.since[idc]; s != nil {
			requests = s.requests
		}
		if lately := w.sum(now, abortWindow); lately.requests == 0 {
			return fmt.Sprintf("%s: no request in the last %s tells how it is", idc, Span(abortWindow))
		}
		if requests < p.AbortIf.MinRequests {
			return fmt.Sprintf("%s: fewer than %d requests since the step began", idc, p.AbortIf.MinRequests)
		}
	}
	return ""
}
