package main

import (
	"cmp"
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

// facts are the weights that a shift asks for, and how far it is.
func (s *shiftStatus) facts(of *remote) map[fact]string {
	facts := map[fact]string{}
	ahead := 0
	if s.Active {
		ahead = len(s.Plan.Steps) - 1 - s.Plan.Stage
	}
	facts[fact{"has steps ahead:", ""}] = fmt.Sprint(ahead)
	if of.cluster.Name != "" && s.Plan != nil { // else each gateway has a name of its own for it
		facts[fact{"has the plan", ""}] = s.Plan.ID + ", " + string(s.Plan.State)
	}
	for _, m := range s.Entry {
		facts[fact{"asks for " + m.IDC, ""}] = fmt.Sprintf("%.4g %%", m.Asked)
	}
	return facts
}

// together is the status of the first, with what entered at all of them: a request is told to one.
func together(all []*shiftStatus) *shiftStatus {
	if len(all) == 1 {
		return all[0]
	}
	sum := *all[0]
	sum.Entry = slices.Clone(sum.Entry)
	byIDC, requests := map[string]*failover.Measured{}, uint64(0)
	for i := range sum.Entry {
		byIDC[sum.Entry[i].IDC] = &sum.Entry[i]
		requests += sum.Entry[i].Requests
	}
	for _, other := range all[1:] {
		for _, m := range other.Entry {
			if s := byIDC[m.IDC]; s != nil {
				s.Requests, s.Rate, s.Failures = s.Requests+m.Requests, s.Rate+m.Rate, s.Failures+m.Failures
				s.Callers = addCallers(s.Callers, m.Callers)
				requests += m.Requests
			}
		}
	}
	for i := range sum.Entry {
		if m := &sum.Entry[i]; requests > 0 {
			share := float64(m.Requests) * 100 / float64(requests)
			m.Measured = &share
		}
	}
	return &sum
}

// addCallers are callers with their requests, the busiest first.
func addCallers(a, b []failover.Caller) (all []failover.Caller) {
	requests := map[string]uint64{}
	for _, c := range slices.Concat(a, b) {
		requests[c.Address] += c.Requests
	}
	for _, address := range slices.Sorted(maps.Keys(requests)) {
		all = append(all, failover.Caller{Address: address, Requests: requests[address]})
	}
	slices.SortStableFunc(all, func(a, b failover.Caller) int { return cmp.Compare(b.Requests, a.Requests) })
	return all
}
