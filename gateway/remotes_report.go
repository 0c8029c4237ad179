package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

// changed is the answer to a change, or to a dry run of it.
type changed struct {
	Holds    []failover.Hold `json:"holds,omitempty"`
	Replaced []failover.Hold `json:"replaced,omitempty"` // by those
	Released []failover.Hold `json:"released,omitempty"`
	Plan     *failover.Plan  `json:"plan,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	Saved    bool            `json:"saved"`
	Problem  string          `json:"problem,omitempty"`

	before *shiftStatus // of a shift: how it stood when it was asked what would be
}

// add takes in what another gateway has done.
func (c *changed) add(other *changed) {
	add := func(holds *[]failover.Hold, more []failover.Hold) {
		for _, h := range more {
			if !slices.ContainsFunc(*holds, func(known failover.Hold) bool { return known.Subject == h.Subject }) {
				*holds = append(*holds, h)
			}
		}
	}
	add(&c.Holds, other.Holds)
	add(&c.Released, other.Released)
	if c.Plan == nil {
		c.Plan = other.Plan
	}
}

// warn tells when a restart would forget it.
func (c *changed) warn(out io.Writer, who string) {
	if !c.Saved {
		fmt.Fprintf(out, "warning: %s%s: a restart of the gateway would forget it\n", who, printable(c.Problem))
	}
}

// report writes what was done, and fails when there is a gateway of a cluster that does not know of it.
func (a *alteration) report(cmd *cobra.Command, done []said[*changed], asJSON bool) error {
	var told []string
	var late []error
	var list []gatewayAnswer
	var all changed
	for _, d := range done {
		answer := newGatewayAnswer(d.remote, d.err)
		var missing lateError
		switch {
		case errors.As(d.err, &missing):
			late = append(late, d.err)
		case d.err != nil:
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: without %s: %s\n", d.label(), strings.ReplaceAll(d.err.Error(), "\n", "; "))
		default:
			told = append(told, d.label())
		}
		if d.answer != nil {
			all.add(d.answer)
			d.answer.warn(cmd.ErrOrStderr(), d.label()+": ")
			answer.Answer = d.answer
		}
		list = append(list, answer)
	}
	if asJSON {
		return errors.Join(append(late, json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"gateways": list}))...)
	}
	a.write(cmd.OutOrStdout(), &all)
	fmt.Fprintf(cmd.OutOrStdout(), "Done on %d of %d gateways: %s\n", len(told), len(done), strings.Join(told, ", "))
	return errors.Join(late...)
}
