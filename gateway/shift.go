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
	var gateway remote
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
			return planShift(cmd, &gateway, &flags, asJSON)
		}),
	}
	flags.addFlags(cmd)
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	return cmd
}

func newShiftApplyCommand() *cobra.Command {
	var gateway remote
	var format output
	var flags shiftFlags
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply --to IDC=PERCENT[,…] --for TIME",
		Short: "Move traffic, after showing how",
		Long: `Move traffic, after showing how. IDCs that --to does not name share the rest as their base weights are. When the shift ends, however it ends,
what was asked before holds again: base weights, or the shift that it replaced, until that one's own end. It needs a token of the console's
(extensions::console::tokens) with the role operator.

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
			if dry {
				return planShift(cmd, &gateway, &flags, asJSON)
			}
			return applyShift(cmd, &gateway, &flags, asJSON)
		}),
	}
	flags.addFlags(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show, as shift plan does")
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	return cmd
}

// planShift shows what the gateway would do.
func planShift(cmd *cobra.Command, gateway *remote, flags *shiftFlags, asJSON bool) error {
	request, err := flags.request()
	if err != nil {
		return usageError{err}
	}
	var answer struct {
		Plan     *failover.Plan `json:"plan"`
		Warnings []string       `json:"warnings,omitempty"`
	}
	if err := gateway.change(cmd.Context(), http.MethodPost, shiftPath, url.Values{"dry_run": {"1"}}, request, &answer); err != nil {
		return err
	}
	if answer.Plan == nil {
		return errors.New("not a plan of a shift")
	}
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(answer)
	}
	now, _, err := shiftNow(cmd, gateway)
	if err != nil {
		return err
	}
	if err := showPlan(cmd.OutOrStdout(), answer.Plan, now); err != nil {
		return err
	}
	for _, warning := range answer.Warnings {
		fmt.Fprintln(cmd.OutOrStdout(), "WARNING:", printable(warning))
	}
	return nil
}

func applyShift(cmd *cobra.Command, gateway *remote, flags *shiftFlags, asJSON bool) error {
	if !asJSON {
		if err := planShift(cmd, gateway, flags, false); err != nil {
			return err
		}
	}
	request, err := flags.request()
	if err != nil {
		return usageError{err}
	}
	var answer shiftChanged
	if err := gateway.change(cmd.Context(), http.MethodPost, shiftPath, nil, request, &answer); err != nil {
		return err
	}
	if answer.Plan == nil {
		return errors.New("not the answer to a shift")
	}
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(answer)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "\n%s has begun. Watch it: lockkeeper shift status --watch. End it: lockkeeper shift abort\n%s",
		printable(answer.Plan.ID), answer.warning())
	return err
}

// shiftChanged is the answer to a change.
type shiftChanged struct {
	Plan     *failover.Plan `json:"plan"`
	Warnings []string       `json:"warnings,omitempty"`
	Saved    bool           `json:"saved"`
	Problem  string         `json:"problem,omitempty"`
}

func (c *shiftChanged) warning() string {
	if c.Saved {
		return ""
	}
	return "WARNING: a restart would forget it: " + printable(c.Problem) + "\n"
}

func newShiftAbortCommand() *cobra.Command {
	var gateway remote
	var format output
	var why string
	cmd := &cobra.Command{
		Use:   "abort",
		Short: "End a shift at once",
		Long: `End a shift at once. What it replaced holds again; a second abort ends that, too, and base weights hold. It needs a token of the console's
(extensions::console::tokens) with the role operator.

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
			var answer shiftChanged
			if err := gateway.change(cmd.Context(), http.MethodDelete, shiftPath, query, nil, &answer); err != nil {
				return err
			}
			if answer.Plan == nil {
				return errors.New("not the answer to the end of a shift")
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(answer)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s has ended: back to %s\n%s", printable(answer.Plan.ID), shiftAfter(answer.Plan, time.Now()), answer.warning())
			return err
		}),
	}
	cmd.Flags().StringVar(&why, "why", "", "for the audit")
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	return cmd
}

func newShiftStatusCommand() *cobra.Command {
	var gateway remote
	var format output
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what share each IDC was to get and what it got",
		Long: `Show the shift, what share of the traffic each IDC was to get, what really entered it in the last minute, and who still comes to an IDC that
was to get nothing.

Exit codes: 0 shown, 1 there is no gateway, 2 called wrongly.`,
		Example: `  lockkeeper shift status
  lockkeeper shift status --watch
  lockkeeper shift status -o json`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			for {
				status, body, err := shiftNow(cmd, &gateway)
				switch {
				case err != nil && watch && cmd.Context().Err() != nil:
					return nil
				case err != nil:
					return err
				case asJSON:
					_, err = cmd.OutOrStdout().Write(body)
				default:
					err = status.show(cmd.OutOrStdout(), time.Now())
				}
				if err != nil || !watch {
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
	gateway.addFlags(cmd)
	return cmd
}

const shiftWatchInterval = 2 * time.Second

// shiftNow asks how it stands.
func shiftNow(cmd *cobra.Command, gateway *remote) (*shiftStatus, []byte, error) {
	response, err := gateway.get(cmd.Context(), shiftPath, nil)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("the gateway went away: %w", err)
	}
	status := &shiftStatus{}
	if err := json.Unmarshal(body, status); err != nil {
		return nil, nil, fmt.Errorf("not the state of a shift: %w", err)
	}
	return status, body, nil
}
