package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

func newReleaseCommand() *cobra.Command {
	var gateway remote
	var format output
	var all bool
	var why string
	cmd := &cobra.Command{
		Use:   "release SUBJECT | --all",
		Short: "End a hold: what is observed of the subject counts again",
		Long: `End a hold before its time. It needs a token of the console's with the role operator.

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
			query := url.Values{"subject": {"*"}}
			if !all {
				query.Set("subject", args[0])
			}
			if why != "" {
				query.Set("why", why)
			}
			var done heldAnswer
			if err := gateway.change(cmd.Context(), http.MethodDelete, "/api/v1/failover/hold", query, nil, &done); err != nil {
				return failure{err}
			}
			return failed(done.write(cmd.OutOrStdout(), cmd.ErrOrStderr(), asJSON))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all holds")
	cmd.Flags().StringVar(&why, "why", "", "the reason, for those who find it in the audit")
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	return cmd
}

// heldAnswer is the answer to a hold or a release.
type heldAnswer struct {
	Holds    []failover.Hold `json:"holds"`
	Released []failover.Hold `json:"released"`
	Saved    bool            `json:"saved"`
	Problem  string          `json:"problem,omitempty"`
}

func (a *heldAnswer) write(out, warnings io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(a)
	}
	now := time.Now()
	for _, h := range a.Holds {
		fmt.Fprintf(out, "%s: %s until %s, by %s\n", printable(h.Subject), h.Action, until(h.Until, now), printable(h.By))
	}
	for _, h := range a.Released {
		fmt.Fprintf(out, "%s: released (it was %s by %s until %s)\n", printable(h.Subject), h.Action, printable(h.By), until(h.Until, now))
	}
	if len(a.Holds)+len(a.Released) == 0 {
		fmt.Fprintln(out, "there was nothing to do")
	}
	if !a.Saved {
		fmt.Fprintf(warnings, "warning: %s: a restart of the gateway would forget it\n", printable(a.Problem))
	}
	return nil
}
