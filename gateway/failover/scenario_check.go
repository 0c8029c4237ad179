package failover

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"
)

// check names what a scenario cannot mean.
func (s *scenario) check() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.For <= 0 || time.Duration(s.For) > 7*24*time.Hour {
		add("for: must be more than 0 and at most 168h, is %v", s.For)
	}
	probes, shots := 0, 0.0
	for i := range s.Probes {
		p := &s.Probes[i]
		subjects, err := expand(p.Subject)
		if err != nil {
			add("probes[%d]::subject: %w", i, err)
		}
		if kind, rest, _ := strings.Cut(p.Subject, "/"); !slices.Contains(Kinds(), kind) || rest == "" {
			add("probes[%d]::subject: %q: must be like machine/NAME, endpoint/ADDRESS, idc/NAME/entry, idc/NAME/mesh or dns/NAME", i, p.Subject)
		}
		if p.Interval == 0 {
			p.Interval = span(time.Second)
		}
		if p.Timeout == 0 {
			p.Timeout = p.Interval / 2
		}
		if p.Interval < span(100*time.Millisecond) || p.Timeout < 0 {
			add("probes[%d]: interval must be at least 100ms, and timeout positive: they are %v and %v", i, p.Interval, p.Timeout)
			continue
		}
		probes += len(subjects)
		shots += float64(len(subjects)) * float64(s.For) / float64(p.Interval)
	}
	for i := range s.Traffic {
		tries, mistakes := s.Traffic[i].check()
		for _, err := range mistakes {
			add("traffic[%d]: %w", i, err)
		}
		shots += float64(tries) * time.Duration(s.For).Seconds()
	}
	if probes > scenarioProbes || shots > scenarioShots {
		add("probes, traffic: %d probes, and %.0f probes and tries in all: at most %d and %d", probes, shots, scenarioProbes, scenarioShots)
	}
	errs = append(errs, s.checkMachines()...)
	for i := range s.Timeline {
		for _, err := range s.Timeline[i].check(time.Duration(s.For)) {
			add("timeline[%d] (at %v): %w", i, s.Timeline[i].At, err)
		}
	}
	return errs
}

// check names what a step cannot mean.
func (t *step) check(end time.Duration) (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if t.At < 0 || time.Duration(t.At) > end {
		add("must be within the scenario's %v", end)
	}
	whats := 0
	for _, is := range []bool{
		t.Fail != nil, t.Hang != nil, t.Silent != nil, t.Break != nil, t.Say != nil, t.Hold != nil, t.Unhold != "", t.Shift != nil, t.Start != "", t.Clock != 0,
		t.Leave != nil, t.Expect != nil,
	} {
		if is {
			whats++
		}
	}
	if whats != 1 {
		add("must be exactly one of fail, hang, silent, break, say, hold, unhold, shift, restart, clock, leave, expect; it is %d", whats)
	}
	if t.fault() == nil && (t.For != 0 || t.Every != 0 || t.Site != "" || t.Probe != "" || t.Reason != "") {
		add("for, every, site, probe and reason belong to fail, hang, silent and break")
	}
	if t.Break == nil && (t.Callers != nil || t.Share != 0 || t.Flag != "") {
		add("callers, share and flag belong to break")
	}
	if t.For < 0 || t.Every < 0 || t.Every > 0 && t.Every <= t.For {
		add("for and every must be positive, and every longer than for")
	}
	subjects, err := expandAll(slices.Concat(t.fault(), t.Callers))
	if err != nil {
		add("%w", err)
	}
	for _, pattern := range subjects {
		if _, err := path.Match(pattern, ""); err != nil {
			add("%q: %w", pattern, err)
		}
	}
	if t.Start != "" && t.Start != "kept" && t.Start != "lost" {
		add("restart: %q: the state is kept or lost", t.Start)
	}
	return append(append(errs, t.checkPeople()...), t.checkExpect()...)
}

// fault are the subjects that fail, hang or are silent, or whose callers fail.
func (t *step) fault() []string { return slices.Concat(t.Fail, t.Hang, t.Silent, t.Break) }

func (t *step) checkPeople() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s := t.Say; s != nil && !slices.Contains([]string{"healthy", "dead", "gray", "unknown"}, s.Health) {
		add("say::health: %q: must be healthy, dead, gray or unknown", s.Health)
	}
	if h := t.Hold; h != nil {
		if !slices.Contains([]Action{Keep, Eject, Restore}, h.Action) {
			add("hold::action: %q: must be hold, eject or restore", h.Action)
		}
		if h.For <= 0 {
			add("hold::for: a hold always ends: say after how long")
		}
		if h.Subject == "" {
			add("hold::subject: missing")
		}
		if h.Subject == "*" && h.Action != Restore {
			add("hold::subject: all at once can only be restored")
		}
	}
	if t.Shift != nil {
		for scope, weights := range map[string]map[string]float64{"entry": t.Shift.Entry, "mesh": t.Shift.Mesh} {
			sum := 0.0
			for idc, weight := range weights {
				if !(weight >= 0 && weight <= 100) {
					add("shift::%s::%s: must be from 0 to 100 percent, is %v", scope, idc, weight)
				}
				sum += weight
			}
			if weights != nil && !(math.Abs(sum-100) < 0.001) {
				add("shift::%s: the weights must sum to 100 percent; they sum to %v", scope, sum)
			}
		}
	}
	return errs
}

func (t *step) checkExpect() (errs []error) {
	if t.Expect == nil {
		return nil
	}
	for _, list := range []*[]string{t.Expect.Out, t.Expect.WouldOut, t.Expect.Drained} {
		if list == nil {
			continue
		}
		if _, err := expandAll(*list); err != nil {
			errs = append(errs, fmt.Errorf("expect: %w", err))
		}
	}
	return errs
}
