package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
	"github.com/lockkeeper/lockkeeper/xds"
)

// shiftNow asks how it stands.
func shiftNow(ctx context.Context, g *remote) (*shiftStatus, error) {
	status := &shiftStatus{}
	_, err := g.read(ctx, shiftPath, nil, status)
	return status, err
}

func writeBegun(out io.Writer, done *changed) {
	fmt.Fprintf(out, "\n%s has begun. Watch it: lockkeeper shift status --watch. End it: lockkeeper shift abort\n", printable(done.Plan.ID))
}

func writeAborted(out io.Writer, done *changed) {
	fmt.Fprintf(out, "%s has ended: back to %s\n", printable(done.Plan.ID), shiftAfter(done.Plan, time.Now()))
}

// planShift shows what all gateways would do, and does nothing.
func planShift(cmd *cobra.Command, gateways *remotes, request failover.PlanRequest, asJSON bool) error {
	all, err := gateways.all()
	if err != nil {
		return err
	}
	would, err := gateways.would(cmd.Context(), all, &alteration{method: http.MethodPost, path: shiftPath, body: request, reverser: shifting{}})
	if err != nil {
		return err
	}
	if asJSON {
		return writePlans(cmd.OutOrStdout(), would)
	}
	var first *changed
	for _, w := range would {
		var warnings []string
		switch {
		case w.err != nil:
			warnings = []string{"without " + w.label() + ": " + w.err.Error()}
		case first == nil:
			first = w.answer
			if err := showPlan(cmd.OutOrStdout(), first.Plan, first.before); err != nil {
				return err
			}
			warnings = first.Warnings
		case !reflect.DeepEqual(first.Plan.Steps, w.answer.Plan.Steps):
			warnings = []string{w.label() + " would move other weights: its idcs are configured otherwise"}
		}
		for _, warning := range warnings {
			fmt.Fprintln(cmd.OutOrStdout(), "WARNING:", printable(warning))
		}
	}
	return nil
}

func writePlans(out io.Writer, would []said[*changed]) error {
	type dry struct {
		Plan     *failover.Plan `json:"plan"`
		Warnings []string       `json:"warnings,omitempty"`
	}
	if len(would) == 1 {
		return json.NewEncoder(out).Encode(dry{would[0].answer.Plan, would[0].answer.Warnings})
	}
	var list []gatewayAnswer
	for _, w := range would {
		answer := newGatewayAnswer(w.remote, w.err)
		if w.err == nil {
			answer.Answer = dry{w.answer.Plan, w.answer.Warnings}
		}
		list = append(list, answer)
	}
	return json.NewEncoder(out).Encode(map[string]any{"gateways": list})
}

// shifting takes back the beginning of a shift, or its end.
type shifting struct{}

func (shifting) look(ctx context.Context, g *remote, would *changed) (err error) {
	would.before, err = shiftNow(ctx, g)
	return err
}

// undo ends what is asked for, and asks again for what was. Meanwhile, for milliseconds, base weights hold.
func (shifting) undo(ctx context.Context, g *remote, would *changed) error {
	now, err := shiftNow(ctx, g)
	if err != nil || samePlan(now.Plan, would.before.Plan) {
		return err
	}
	query := url.Values{"why": {"undone: another gateway has failed to do the same"}}
	for err == nil { // what it replaced, too
		err = g.change(ctx, http.MethodDelete, shiftPath, query, nil, &changed{})
	}
	var refused refusedError
	if !errors.As(err, &refused) || refused.code != http.StatusNotFound {
		return err
	}
	for _, r := range again(would.before.Plan, time.Now()) {
		if err := g.change(ctx, http.MethodPost, shiftPath, nil, r, &changed{}); err != nil {
			return err
		}
	}
	return nil
}

func (shifting) shows(ctx context.Context, g *remote, done *changed) bool {
	now, err := shiftNow(ctx, g)
	return err == nil && samePlan(now.Plan, done.Plan)
}

// samePlan tells whether a plan is another one as far as people can change it.
func samePlan(a, b *failover.Plan) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID && a.Active() == b.Active() && (a.Before == nil) == (b.Before == nil)
}

// again asks for what is left of a plan, and before that for what is left of the one that it replaced.
func again(p *failover.Plan, now time.Time) (requests []failover.PlanRequest) {
	if p == nil {
		return nil
	}
	r := failover.PlanRequest{Why: "goes on as " + p.ID + " would: what ended that was undone", Force: true, Replace: true}
	if before := p.Before; before != nil && now.Before(before.Until) {
		r, weights := r, before.Shift.Entry
		switch r.Scope = failover.ScopeBoth; {
		case before.Shift.Mesh == nil:
			r.Scope = failover.ScopeEntry
		case weights == nil:
			r.Scope, weights = failover.ScopeMesh, before.Shift.Mesh
		}
		r.Hard, r.To, r.For = before.Shift.Hard, percents(weights), failover.Span(before.Until.Sub(now))
		requests = append(requests, r)
	}
	if !p.Active() {
		return requests
	}
	r.Scope, r.Hard, r.AbortIf, r.To = p.Scope, p.Hard, p.AbortIf, percents(p.Steps[len(p.Steps)-1].Weights)
	for i, s := range p.Steps[p.Stage : len(p.Steps)-1] {
		if i == 0 {
			s.For = max(s.For-failover.Span(now.Sub(p.StepAt)), failover.Span(time.Second))
		}
		r.Steps = append(r.Steps, failover.StepRequest{To: percents(s.Weights), For: s.For})
	}
	if !p.Expires.IsZero() {
		r.For = failover.Span(p.Expires.Sub(now))
	}
	return append(requests, r)
}

func percents(weights map[string]uint32) map[string]float64 {
	to := map[string]float64{}
	for idc, weight := range weights {
		to[idc] = float64(weight) * 100 / xds.Whole
	}
	return to
}
