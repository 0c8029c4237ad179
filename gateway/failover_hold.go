package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

const (
	holdPath = "/api/v1/failover/hold"
	longHold = 24 * time.Hour // longer ones are an admin's
)

// newHoldCommand makes hold, eject and restore, which differ in a word.
func newHoldCommand(name string, action failover.Action, short string) *cobra.Command {
	var gateways remotes
	var format output
	var all bool
	var lasts time.Duration
	var hard bool
	var why string
	cmd := &cobra.Command{
		Use:   name + " SUBJECT --for TIME",
		Short: short,
		Long: short + `, until its time is over or it is released (lockkeeper failover release). It needs a token of the console's with the role
operator; for more than 24h with the role admin.

A hold yields when no other healthy IDC is left; --hard does not. Nothing takes out the last one of a cluster.

` + severalGateways + `

Exit codes: 0 done, 1 refused, or there is no gateway, 2 called wrongly.`,
		Example: "  lockkeeper failover " + name + " machine/web-17 --for 30m --why 'ticket 4711'",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			switch {
			case err != nil:
				return err
			case all && len(args) > 0:
				return errors.New("say SUBJECT or --all, not both")
			case !all && len(args) != 1:
				return fmt.Errorf("say which subject: lockkeeper failover %s machine/NAME --for 30m", name)
			case lasts <= 0:
				return errors.New("--for: a hold always ends: say when, such as --for 30m")
			}
			subject := "*"
			if !all {
				subject = args[0]
			}
			return failed(gateways.change(cmd, asJSON, newHold(failover.Hold{Subject: subject, Action: action, Hard: hard, Why: why}, lasts)))
		},
	}
	if action == failover.Restore {
		cmd.Flags().BoolVar(&all, "all", false, "all that are out or unhealthy")
		cmd.Use = name + " SUBJECT | --all --for TIME"
	}
	cmd.Flags().DurationVar(&lasts, "for", 0, "how long, such as 30m; required")
	cmd.Flags().BoolVar(&hard, "hard", false, "do not yield when no other healthy IDC is left")
	cmd.Flags().StringVar(&why, "why", "", "the reason, for those who find it in the audit")
	format.addFlags(cmd)
	gateways.addChangeFlags(cmd)
	cmd.ValidArgsFunction = completes(true, gateways.subjects)
	return cmd
}

func newReleaseCommand() *cobra.Command {
	var gateways remotes
	var format output
	var all bool
	var why string
	cmd := &cobra.Command{
		Use:   "release SUBJECT | --all",
		Short: "End a hold: what is observed of the subject counts again",
		Long: `End a hold before its time. It needs a token of the console's with the role operator.

` + severalGateways + `

Exit codes: 0 done, 1 refused, there is no such hold, or no gateway, 2 called wrongly.`,
		Example: "  lockkeeper failover release machine/web-17",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			switch {
			case err != nil:
				return err
			case all == (len(args) > 0) || len(args) > 1:
				return errors.New("say which hold is to end: lockkeeper failover release machine/NAME, or --all")
			}
			subject := "*"
			if !all {
				subject = args[0]
			}
			return failed(gateways.change(cmd, asJSON, newRelease(subject, why)))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all holds")
	cmd.Flags().StringVar(&why, "why", "", "the reason, for those who find it in the audit")
	format.addFlags(cmd)
	gateways.addChangeFlags(cmd)
	cmd.ValidArgsFunction = completes(true, gateways.held)
	return cmd
}

func newHold(h failover.Hold, lasts time.Duration) *alteration {
	path := holdPath
	if lasts > longHold {
		path += "/long"
	}
	body := map[string]any{"subject": h.Subject, "action": h.Action, "for": lasts.String(), "hard": h.Hard, "why": h.Why}
	return &alteration{method: http.MethodPost, path: path, body: body, write: writeHolds, reverser: holding{}}
}

func newRelease(subject, why string) *alteration {
	query := url.Values{"subject": {subject}}
	if why != "" {
		query.Set("why", why)
	}
	return &alteration{method: http.MethodDelete, path: holdPath, query: query, write: writeHolds, reverser: holding{}}
}

func writeHolds(out io.Writer, done *changed) {
	now := time.Now()
	for _, h := range done.Holds {
		fmt.Fprintf(out, "%s: %s until %s, by %s\n", printable(h.Subject), h.Action, until(h.Until, now), printable(h.By))
	}
	for _, h := range done.Released {
		fmt.Fprintf(out, "%s: released (it was %s by %s until %s)\n", printable(h.Subject), h.Action, printable(h.By), until(h.Until, now))
	}
	if len(done.Holds)+len(done.Released) == 0 {
		fmt.Fprintln(out, "there was nothing to do")
	}
}

// holding takes back holds and releases.
type holding struct{}

func (holding) look(context.Context, *remote, *changed) error { return nil }

// undo makes those again that were replaced or released, and ends the others that were made.
func (holding) undo(ctx context.Context, g *remote, would *changed) error {
	const why = "undone: another gateway has failed to do the same"
	var errs []error
	again := slices.Concat(would.Replaced, would.Released)
	for _, h := range again {
		lasts := time.Until(h.Until)
		if lasts <= 0 {
			continue
		}
		if h.Action == failover.Keep { // as it was when that hold was made, which it may not be now
			if h.Action = failover.Restore; h.Kept {
				h.Action = failover.Eject
			}
		}
		_, err := newHold(h, lasts).send(ctx, g, false)
		errs = append(errs, err)
	}
	for _, h := range would.Holds {
		if slices.ContainsFunc(again, func(o failover.Hold) bool { return o.Subject == h.Subject }) {
			continue
		}
		var refused refusedError
		if _, err := newRelease(h.Subject, why).send(ctx, g, false); !errors.As(err, &refused) || refused.code != http.StatusNotFound { // else it was never made
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (holding) shows(ctx context.Context, g *remote, done *changed) bool {
	var state failoverState
	if _, err := g.read(ctx, "/api/v1/failover", url.Values{"subject": {"-"}}, &state); err != nil { // holds come in any case, and no subject begins so
		return false
	}
	there := func(h failover.Hold) bool {
		return slices.ContainsFunc(state.Holds, func(o failover.Hold) bool {
			return o.Subject == h.Subject && o.Action == h.Action && o.Until.Equal(h.Until)
		})
	}
	return !slices.ContainsFunc(done.Released, there) && !slices.ContainsFunc(done.Holds, func(h failover.Hold) bool { return !there(h) })
}
