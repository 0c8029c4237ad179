package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

// shiftFlags are a shift, as it is written on a command line.
type shiftFlags struct {
	to, steps, abortIf   []string
	each, lasts          time.Duration
	scope, why           string
	hard, force, replace bool
}

func (f *shiftFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.to, "to", nil, "`IDC=PERCENT` of the traffic, such as idc2=1 or idc2=0.5; several: idc2=20,idc3=10")
	flags.StringSliceVar(&f.steps, "steps", nil, "`PERCENTS` of the one IDC in --to to pass on the way, such as 1,5,25")
	flags.DurationVar(&f.each, "each", 0, "`TIME` that each of --steps holds")
	flags.DurationVar(&f.lasts, "for", 0, "`TIME` from the beginning after which it ends by itself; not needed on the way to base weights")
	flags.StringSliceVar(&f.abortIf, "abort-if", nil,
		"`CONDITIONS` on what enters an IDC that gains: error_ratio=5%, p99=800ms, a response flag such as UF=1%, min_requests=100")
	flags.StringVar(&f.scope, "scope", "entry", "which weights: entry (DNS and edge routes), mesh or both")
	flags.BoolVar(&f.hard, "hard", false, "an IDC with 0 % gets nothing even when no other is healthy")
	flags.BoolVar(&f.force, "force", false, "also beyond an IDC's capacity_percent")
	flags.BoolVar(&f.replace, "replace", false, "take the place of the shift that is on")
	flags.StringVar(&f.why, "why", "", "for the audit")
}

// request reports all mistakes at once.
func (f *shiftFlags) request() (failover.PlanRequest, error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	r := failover.PlanRequest{
		To: map[string]float64{}, For: failover.Span(f.lasts), Hard: f.hard, Scope: failover.Scope(f.scope), Why: f.why, Force: f.force, Replace: f.replace,
	}
	if len(f.to) == 0 {
		fail("--to: say how much of the traffic an IDC is to get, such as --to idc2=1")
	}
	for _, to := range f.to {
		idc, text, _ := strings.Cut(to, "=")
		percent, err := parsePercent(text)
		if _, twice := r.To[idc]; err != nil || idc == "" {
			fail("--to %q: must be like idc2=1", to)
		} else if twice {
			fail("--to: %s is there twice", idc)
		}
		r.To[idc] = percent
	}
	for _, step := range f.steps {
		percent, err := parsePercent(step)
		if err != nil {
			fail("--steps %q: must be percents like 1,5,25", step)
		}
		r.Steps = append(r.Steps, failover.StepRequest{Percent: &percent, For: failover.Span(f.each)})
	}
	if (len(f.steps) > 0) != (f.each > 0) {
		fail("--steps and --each go together: --steps 1,5,25 --each 10m")
	}
	var err error
	if r.AbortIf, err = parseAbortIf(f.abortIf); err != nil {
		errs = append(errs, err)
	}
	return r, errors.Join(errs...)
}

// parsePercent reads 1, 0.5 or 1%.
func parsePercent(text string) (float64, error) {
	return strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), "%"), 64)
}

// parseRatio reads 5% or 0.05.
func parseRatio(text string) (float64, error) {
	v, err := parsePercent(text)
	if strings.HasSuffix(text, "%") {
		v /= 100
	}
	return v, err
}

func parseAbortIf(conditions []string) (*failover.AbortIf, error) {
	if len(conditions) == 0 {
		return nil, nil
	}
	a := &failover.AbortIf{Flags: map[string]float64{}}
	var errs []error
	for _, condition := range conditions {
		name, value, _ := strings.Cut(strings.TrimSpace(condition), "=")
		var err error
		switch {
		case name == "error_ratio":
			a.ErrorRatio, err = parseRatio(value)
		case name == "p99":
			var d time.Duration
			d, err = time.ParseDuration(value)
			a.P99 = float64(d) / float64(time.Millisecond)
		case name == "min_requests":
			a.MinRequests, err = strconv.ParseUint(value, 10, 64)
		case name != "" && name == strings.ToUpper(name):
			a.Flags[name], err = parseRatio(value)
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--abort-if %q: must be one of error_ratio=5%%, p99=800ms, UF=1%% (or another response flag), min_requests=100", condition))
		}
	}
	return a, errors.Join(errs...)
}
