package main

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

const shiftPath = "/api/v1/failover/shift"

func newShiftCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shift",
		Short: "Move traffic between IDCs, at once or step by step",
		Long: `Move traffic between IDCs, at once or step by step, and give it back: at the end of its time, when what enters the IDC that gains breaks a
condition, or when that IDC is ill. Verdicts are stronger: an IDC that is dead gets nothing.`,
		Example: `  lockkeeper shift plan --to idc2=50 --steps 1,5,25 --each 10m --for 2h --abort-if error_ratio=5%
  lockkeeper shift apply --to idc1=0 --for 4h --why "disks of idc1 are changed"
  lockkeeper shift status --watch
  lockkeeper shift abort`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("say what to do: lockkeeper shift plan, apply, abort or status")
		},
	}
	cmd.AddCommand(newShiftPlanCommand(), newShiftApplyCommand(), newShiftAbortCommand(), newShiftStatusCommand())
	return cmd
}

func newShiftPlanCommand() *cobra.Command {
	var gateways remotes
	var format output
	var flags shiftFlags
	cmd := &cobra.Command{
		Use:   "plan --to IDC=PERCENT[,…] --for TIME",
		Short: "Show what a shift would do, step by step, and do nothing",
		Long: `Show what a shift would do, step by step, and do nothing. The flags are those of shift apply. It needs a token of the console's
(extensions::console::tokens) with the role operator.

Exit codes: 0 it could be applied, 1 there is no gateway, 2 it could not, or called wrongly.`,
		Example: `  lockkeeper shift plan --to idc2=50 --steps 1,5,25 --each 10m --for 2h --abort-if error_ratio=5%,UF=1%
  lockkeeper shift plan --to idc2=0.5 --for 30m`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			request, err := flags.request()
			if err != nil {
				return usageError{err}
			}
			return planShift(cmd, &gateways, request, asJSON)
		}),
	}
	flags.addFlags(cmd)
	completeFlag(cmd, "to", gateways.shares)
	completeFlag(cmd, "scope", words("entry", "mesh", "both"))
	format.addFlags(cmd)
	gateways.addChangeFlags(cmd)
	return cmd
}

func newShiftApplyCommand() *cobra.Command {
	var gateways remotes
	var format output
	var flags shiftFlags
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply --to IDC=PERCENT[,…] --for TIME",
		Short: "Move traffic, after showing how",
		Long: `Move traffic, after showing how. IDCs that --to does not name share the rest as their base weights are. When the shift ends, however it ends,
what was asked before holds again: base weights, or the shift that it replaced, until that one's own end. It needs a token of the console's
(extensions::console::tokens) with the role operator.

` + severalGateways + `

Exit codes: 0 the shift has begun, 1 it has not, or there is no gateway, 2 it could not be, or called wrongly.`,
		Example: `  lockkeeper shift apply --to idc2=1 --for 30m
  lockkeeper shift apply --to idc2=50 --steps 1,5,25 --each 10m --for 2h --abort-if error_ratio=5%,p99=800ms,UF=1%
  lockkeeper shift apply --to idc1=0 --hard --for 4h --why "disks of idc1 are changed"`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			request, err := flags.request()
			if err != nil {
				return usageError{err}
			}
			if dry || !asJSON {
				if err := planShift(cmd, &gateways, request, asJSON); err != nil || dry {
					return err
				}
			}
			return gateways.change(cmd, asJSON, &alteration{method: http.MethodPost, path: shiftPath, body: request, reverser: shifting{}, write: writeBegun})
		}),
	}
	flags.addFlags(cmd)
	completeFlag(cmd, "to", gateways.shares)
	completeFlag(cmd, "scope", words("entry", "mesh", "both"))
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show, as shift plan does")
	format.addFlags(cmd)
	gateways.addChangeFlags(cmd)
	return cmd
}

func newShiftAbortCommand() *cobra.Command {
	var gateways remotes
	var format output
	var why string
	cmd := &cobra.Command{
		Use:   "abort",
		Short: "End a shift at once",
		Long: `End a shift at once. What it replaced holds again; a second abort ends that, too, and base weights hold. It needs a token of the console's
(extensions::console::tokens) with the role operator.

` + severalGateways + `

Exit codes: 0 it has ended, 1 there was none, or there is no gateway, 2 called wrongly.`,
		Example: `  lockkeeper shift abort --why "customers complain"`,
		Args:    cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			query := url.Values{}
			if why != "" {
				query.Set("why", why)
			}
			return gateways.change(cmd, asJSON, &alteration{method: http.MethodDelete, path: shiftPath, query: query, reverser: shifting{}, write: writeAborted})
		}),
	}
	cmd.Flags().StringVar(&why, "why", "", "for the audit")
	format.addFlags(cmd)
	gateways.addChangeFlags(cmd)
	return cmd
}

func newShiftStatusCommand() *cobra.Command {
	var gateways remotes
	var format output
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what share each IDC was to get and what it got",
		Long: `Show the shift, what share of the traffic each IDC was to get, what really entered it in the last minute, and who still comes to an IDC that
was to get nothing. With several --url: what entered at all of them, and which say something else than most.

Exit codes: 0 shown, 1 there is no gateway, one of several does not answer or says something else, 2 called wrongly.`,
		Example: `  lockkeeper shift status
  lockkeeper shift status --watch
  lockkeeper shift status -o json`,
		Args: cobra.NoArgs,
		RunE: shows(&gateways, &format, func(cmd *cobra.Command, all []*remote, asJSON bool) error {
			r := reading[shiftStatus]{path: shiftPath, facts: (*shiftStatus).facts, write: func(out io.Writer, answers []*shiftStatus) error {
				return together(answers).show(out, time.Now())
			}}
			for {
				shown, err := r.show(cmd, all, asJSON)
				switch {
				case watch && cmd.Context().Err() != nil:
					return nil
				case !watch, shown == nil: // else they disagree, and may not for long
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(shiftWatchInterval):
				}
			}
		}),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "again every 2 s, until interrupted")
	format.addFlags(cmd)
	gateways.addFlags(cmd)
	return cmd
}

const shiftWatchInterval = 2 * time.Second
