package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

// shiftStatus is the answer of /api/v1/failover/shift.
type shiftStatus struct {
	Plan   *failover.Plan      `json:"plan"` // nil: there was none
	Active bool                `json:"active"`
	Entry  []failover.Measured `json:"entry"`
}

// showPlan writes a plan for people: each step with its time and weights, when it is aborted, and what it undoes.
func showPlan(out io.Writer, p *failover.Plan, now *shiftStatus) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	idcs := slices.Sorted(maps.Keys(p.Base))
	row := func(step, from, lasts string, weights map[string]uint32, more string) {
		fmt.Fprintf(table, "%s\t%s\t%s", step, from, lasts)
		for _, idc := range idcs {
			fmt.Fprintf(table, "\t%s", percent(weights[idc]))
		}
		fmt.Fprintf(table, "\t%s\n", printable(more))
	}
	fmt.Fprint(table, "STEP\tFROM\tFOR")
	for _, idc := range idcs {
		fmt.Fprintf(table, "\t%s", printable(strings.ToUpper(idc)))
	}
	fmt.Fprintln(table, "\t")
	asked, by := p.Base, "base weights"
	if s := now.Plan.Shift(p.At); now.Plan != nil && s.Entry != nil {
		asked, by = s.Entry, s.ID+" of "+s.By
	}
	row("now", "", "", asked, by)
	at := p.At
	for i, s := range p.Steps {
		lasts := s.For.String()
		switch last := i == len(p.Steps)-1; {
		case last && p.Expires.IsZero():
			lasts = "good"
		case last:
			lasts = failover.Span(p.Expires.Sub(at).Round(time.Second)).String()
		}
		row(fmt.Sprint(i+1), at.Local().Format(time.TimeOnly), lasts, s.Weights, "")
		at = at.Add(time.Duration(s.For))
	}
	if !p.Expires.IsZero() {
		row("end", p.Expires.Local().Format(time.TimeOnly), "", asked, by)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(out, planNotes(p, now))
	return err
}

// planNotes are what a plan says beside its steps.
func planNotes(p *failover.Plan, now *shiftStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nMoves the weights of scope %s. ", p.Scope)
	if p.Hard {
		b.WriteString("HARD: an IDC with 0 % gets nothing even when no other is healthy.\n")
	} else {
		b.WriteString("An IDC with 0 % still serves when no other is healthy.\n")
	}
	if p.AbortIf != nil {
		fmt.Fprintf(&b, "Aborts when %s, of what enters an IDC that gains. A step waits when nothing tells.\n", printable(p.AbortIf.String()))
	} else if len(p.Steps) > 1 {
		b.WriteString("Nothing aborts it but a verdict: --abort-if names conditions.\n")
	}
	if now.Active {
		fmt.Fprintf(&b, "Replaces %s of %s, which is on (--replace).\n", printable(now.Plan.ID), printable(now.Plan.By))
	}
	return b.String()
}

// show writes how it stands for people.
func (s *shiftStatus) show(out io.Writer, now time.Time) error {
	fmt.Fprintln(out, shiftLine(s.Plan, now))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IDC\tASKED\tMEASURED\tREQ/S\tERRORS")
	told := false
	var late []string
	for _, m := range s.Entry {
		measured, errors := "-", "-"
		if m.Measured != nil {
			told, measured = true, fmt.Sprintf("%.2f %%", *m.Measured)
		}
		if m.Requests > 0 {
			errors = fmt.Sprintf("%.1f %%", float64(m.Failures)*100/float64(m.Requests))
		}
		fmt.Fprintf(table, "%s\t%.4g %%\t%s\t%.1f\t%s\n", printable(m.IDC), m.Asked, measured, m.Rate, errors)
		for _, c := range m.Callers {
			late = append(late, fmt.Sprintf("%s\t%s\t%d\n", printable(m.IDC), printable(c.Address), c.Requests))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(late) > 0 {
		fmt.Fprintf(table, "\nSTILL AT\tCALLER\tREQUESTS IN THE LAST 15 S\n%s", strings.Join(late, ""))
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if !told {
		fmt.Fprintln(out, "Nothing tells what enters: no traffic, or no ingress that counts (receivers::envoy::ingress and evidence).")
	}
	_, err := fmt.Fprintln(out)
	return err
}

// shiftLine is a plan's state in a line or two.
func shiftLine(p *failover.Plan, now time.Time) string {
	if p == nil {
		return "No shift is on: base weights are asked for."
	}
	line := fmt.Sprintf("%s of %s: %s, step %d of %d", printable(p.ID), printable(p.By), p.State, p.Stage+1, len(p.Steps))
	switch {
	case !p.Active():
		line += " at " + clock(p.Ended) + ", back to " + shiftAfter(p, now)
	case p.Expires.IsZero():
		line += ", ends with base weights"
	default:
		line += ", ends at " + until(p.Expires, now)
	}
	if p.Note != "" {
		line += "\n" + printable(p.Note)
	}
	return line
}

// shiftAfter says what holds after a plan.
func shiftAfter(p *failover.Plan, now time.Time) string {
	if s := p.Shift(now); s.ID != "" {
		return fmt.Sprintf("what %s asks until %s", printable(s.ID), clock(p.Before.Until))
	}
	return "base weights"
}
