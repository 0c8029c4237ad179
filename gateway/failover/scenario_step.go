package failover

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// step does what is due on the time line.
func (p *drill) step(t step) {
	switch {
	case t.fault() != nil:
		patterns, _ := expandAll(t.fault()) // checked
		callers, _ := expandAll(t.Callers)
		p.faults = append(p.faults, fault{t, patterns, callers})
		p.note(t.faultText())
	case t.Say != nil:
		p.say(*t.Say)
	case t.Hold != nil:
		p.hold(t.Hold)
	case t.Unhold != "":
		p.holds = slices.DeleteFunc(p.holds, func(o Hold) bool { return o.Subject == t.Unhold })
		p.note("hold " + t.Unhold + ": ended")
	case t.Shift != nil:
		s := t.Shift
		p.shift = Shift{ID: cmp.Or(s.ID, "1"), By: cmp.Or(s.By, "oncall"), Hard: s.Hard, Entry: hundredths(s.Entry), Mesh: hundredths(s.Mesh)}
		p.note("shift: " + s.text())
	case t.Start != "":
		p.note("restart: the state is " + t.Start)
		p.restart(t.Start)
		return
	case t.Clock != 0:
		p.jumped += time.Duration(t.Clock)
		p.note("the wall clock jumps by " + t.Clock.String())
	case t.Leave != nil:
		for name, members := range p.clusters {
			p.clusters[name] = slices.DeleteFunc(slices.Clone(members), func(s string) bool { return slices.Contains(t.Leave, s) })
		}
		p.note("leave their clusters: " + strings.Join(t.Leave, ", "))
	default:
		p.expect(t)
		return
	}
	p.decide()
}

// hold is a person's word on a subject, or on all that is out or unhealthy.
func (p *drill) hold(h *scenarioHold) {
	subjects := []string{h.Subject}
	if h.Subject == "*" {
		subjects = p.decision.restorable()
	}
	for _, subject := range subjects {
		hold := Hold{
			Subject: subject, Action: h.Action, Hard: h.Hard, By: cmp.Or(h.By, "oncall"), Why: h.Why, At: p.wall(), Until: p.wall().Add(time.Duration(h.For)),
			Kept: p.decision.Verdict[subject].Out,
		}
		p.holds = append(slices.DeleteFunc(p.holds, func(o Hold) bool { return o.Subject == subject }), hold)
		p.note(fmt.Sprintf("hold %s: %s", subject, hold.text()))
	}
}

func (p *drill) say(s said) {
	o := Opinion{Subject: s.Subject, IDC: s.IDC, Site: s.Site, Health: Health(s.Health), Since: p.wall(), Why: s.Why, Callers: s.Callers}
	if s.Health == "unknown" {
		o.Health = Unknown
	}
	p.said[[2]string{s.Subject, s.Site}] = o
	p.note(fmt.Sprintf("%s says that %s is %s", cmp.Or(s.Site, "the mesh"), s.Subject, s.Health))
}

func (s *scenarioShift) text() string {
	if s.Entry == nil && s.Mesh == nil {
		return "none"
	}
	text := ""
	for _, scope := range []struct {
		name    string
		weights map[string]float64
	}{{"entry", s.Entry}, {"mesh", s.Mesh}} {
		for _, idc := range slices.Sorted(maps.Keys(scope.weights)) {
			text += fmt.Sprintf("%s %s %v %%, ", scope.name, idc, scope.weights[idc])
		}
	}
	if s.Hard {
		return text + "hard"
	}
	return text + "soft"
}

func (t *step) faultText() string {
	verb := "fail: "
	switch {
	case t.Hang != nil:
		verb = "hang: "
	case t.Silent != nil:
		verb = "are silent: "
	case t.Break != nil:
		verb = fmt.Sprintf("%.3g %% of the tries fail (%s): ", 100*cmp.Or(float64(t.Share), 1), cmp.Or(t.Flag, "UF"))
	}
	text := verb + strings.Join(t.fault(), ", ")
	if t.For > 0 {
		text += " for " + t.For.String()
	}
	if t.Every > 0 {
		text += " every " + t.Every.String()
	}
	if t.Site != "" {
		text += ", as " + t.Site + " sees it"
	}
	if t.Callers != nil {
		text += ", of " + strings.Join(t.Callers, ", ")
	}
	if t.Probe != "" {
		text += ", only probe " + t.Probe
	}
	return text
}

// tell writes a line of what happens.
func (p *drill) tell(e Event) {
	if e.Kind == "ejected" || e.Kind == "returned" || e.Kind == "weights" {
		p.loud = true
	}
	line := e.Subject + "  " + e.What
	if e.Kind == "freeze" || e.Kind == "alarm" {
		line = e.Kind + " " + line
	}
	if e.Why != "" {
		line += ": " + e.Why
	}
	if e.Undoes != "" && e.Kind != "weights" {
		line += " (undoes: " + e.Undoes + ")"
	}
	p.printf("%s  %s\n", p.clock(), line)
}

// note writes a line of what is done to it.
func (p *drill) note(text string) { p.printf("%s  > %s\n", p.clock(), text) }

// clock is the time since the start, in which the clock's jumps have no part.
func (p *drill) clock() string {
	since := p.now.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", since/3_600_000, since/60_000%60, since/1000%60, since%1000)
}

func (p *drill) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.out, format, args...); err != nil && len(p.broken) == 0 {
		p.broken = append(p.broken, err)
	}
}

// expect holds the decision against what must be so.
func (p *drill) expect(t step) {
	wrong := p.wrong(t.Expect)
	p.loud = false
	if len(wrong) == 0 {
		p.held++
		return
	}
	for _, text := range wrong {
		p.note("NOT AS EXPECTED: " + text)
	}
	p.failed = append(p.failed, fmt.Errorf("at %v: %s", t.At, strings.Join(wrong, "; ")))
}

func (p *drill) wrong(e *scenarioExpection) (wrong []string) {
	f := func(what string, want, got any) {
		wrong = append(wrong, fmt.Sprintf("%s must be %v, is %v", what, want, got))
	}
	d := p.decision
	weights := func(what string, want map[string]float64, got func(string) uint32) {
		for _, idc := range slices.Sorted(maps.Keys(want)) {
			if uint32(math.Round(want[idc]*100)) != got(idc) {
				f(what+" of "+idc, fmt.Sprint(want[idc], " %"), percent(got(idc)))
			}
		}
	}
	weights("entry", e.Entry, func(idc string) uint32 { return d.Serving.IDCs[idc].Entry })
	weights("mesh", e.Mesh, func(idc string) uint32 { return d.Serving.IDCs[idc].Mesh })
	weights("entry (would)", e.Would, func(idc string) uint32 { return d.Would.IDCs[idc].Entry })
	lists := func(what string, want *[]string, got []string) {
		if want == nil {
			return
		}
		all, _ := expandAll(*want) // checked
		if slices.Sort(all); !slices.Equal(all, got) {
			f(what, all, got)
		}
	}
	lists("out", e.Out, slices.Sorted(maps.Keys(d.Serving.Out)))
	lists("out (would)", e.WouldOut, slices.Sorted(maps.Keys(d.Would.Out)))
	lists("drained", e.Drained, slices.DeleteFunc(slices.Sorted(maps.Keys(d.Serving.Out)), func(s string) bool { return !d.Serving.Out[s].Drain }))
	lists("alarms", e.Alarms, slices.Sorted(maps.Keys(d.Alarms)))
	lists("frozen", e.Frozen, slices.Sorted(maps.Keys(d.Frozen)))
	if e.Degraded != nil && *e.Degraded != d.Serving.Degraded {
		f("degraded", *e.Degraded, d.Serving.Degraded)
	}
	for _, subject := range slices.Sorted(maps.Keys(e.Blocked)) {
		if got := d.Verdict[subject].Blocked; !strings.HasPrefix(got, e.Blocked[subject]) || e.Blocked[subject] == "" && got != "" {
			f("blocked of "+subject, e.Blocked[subject], got)
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(e.Health)) {
		if got := d.Verdict[subject].Health.word(); got != e.Health[subject] {
			f("health of "+subject, e.Health[subject], got)
		}
	}
	if e.Quiet && p.loud {
		f("what is served", "unchanged", "changed")
	}
	return wrong
}
