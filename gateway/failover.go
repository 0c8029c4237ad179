package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
	"github.com/lockkeeper/lockkeeper/xds"
)

func newFailoverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "failover",
		Short: "See what is taken out and why, and hold what must not change",
		Example: `  lockkeeper failover list
  lockkeeper failover eject idc/idc1/entry --for 30m --why "flood in the basement"`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("say what to do: lockkeeper failover list, events, hold, eject, restore or release")
		},
	}
	cmd.AddCommand(newFailoverListCommand(), newFailoverEventsCommand(), newReleaseCommand(),
		newHoldCommand("hold", "hold", "Keep a subject as it is, whatever is observed of it"),
		newHoldCommand("eject", "eject", "Take a subject out, whatever is observed of it"),
		newHoldCommand("restore", "restore", "Put a subject back and hold it healthy, whatever is observed of it"))
	return cmd
}

func newFailoverListCommand() *cobra.Command {
	var gateway remote
	var format output
	var all bool
	cmd := &cobra.Command{
		Use:   "list [SUBJECT…]",
		Short: "Show what is served, what is taken out, and why",
		Long: `Show the weights of the IDCs, what is wrong, holds, and of the subjects those that are not healthy, are out or are held; with --all all
of them. Arguments are what the names of subjects begin with.`,
		Example: `  lockkeeper failover list
  lockkeeper failover list --all machine/rack7
  lockkeeper failover list -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			return failed(listFailover(cmd, &gateway, args, all, asJSON))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also subjects that are healthy")
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	return cmd
}

func listFailover(cmd *cobra.Command, gateway *remote, prefixes []string, all, asJSON bool) error {
	query := url.Values{}
	if len(prefixes) == 1 {
		query.Set("subject", prefixes[0])
	}
	response, err := gateway.get(cmd.Context(), "/api/v1/failover", query)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("the gateway went away: %w", err)
	}
	if asJSON {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	var state failoverState
	if err := json.Unmarshal(body, &state); err != nil {
		return fmt.Errorf("not the state of a failover: %w", err)
	}
	state.Subjects = slices.DeleteFunc(state.Subjects, func(s failoverSubject) bool {
		asked := len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s.Subject, p) })
		return !asked || !all && s.Health == "healthy" && !s.Out && s.Held == nil
	})
	return state.write(cmd.OutOrStdout(), time.Now())
}

// failoverState is the answer of /api/v1/failover, as far as it is shown.
type failoverState struct {
	Serving, Would xds.Serving
	Subjects       []failoverSubject
	Holds          []failover.Hold
	Alarms         map[string]string
	Shift          failover.Shift
	State          string
}

type failoverSubject struct {
	Subject, Health, Why, Blocked string
	Act, Out, Provisional         bool
	WouldOut                      bool `json:"would_out"`
	Since                         time.Time
	Held                          *failover.Hold
	Hold                          time.Time
}

// write writes for people: what is wrong comes first.
func (s *failoverState) write(out io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(s.Alarms)) {
		fmt.Fprintf(table, "ALARM %s: %s\n", printable(name), printable(s.Alarms[name]))
	}
	if s.State != "" {
		fmt.Fprintf(table, "ALARM state: %s\n", printable(s.State))
	}
	s.writeIDCs(table)
	if len(s.Holds) > 0 {
		fmt.Fprint(table, "\nHELD\tACTION\tBY\tUNTIL\tWHY\n")
		for _, h := range s.Holds {
			action := string(h.Action)
			if h.Hard {
				action += " (hard)"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(h.Subject), action, printable(h.By), until(h.Until, now), printable(cmp.Or(h.Why, "-")))
		}
	}
	if len(s.Subjects) > 0 {
		fmt.Fprint(table, "\nSUBJECT\tHEALTH\tSINCE\tOUT\tWHY\n")
		for i := range s.Subjects {
			x := &s.Subjects[i]
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(x.Subject), printable(x.Health), since(x.Since, now), printable(x.outText()), printable(cmp.Or(x.Why, "-")))
		}
	} else {
		fmt.Fprint(table, "\nNothing is unhealthy, out or held.\n")
	}
	return table.Flush()
}

func (s *failoverState) writeIDCs(table io.Writer) {
	if len(s.Serving.IDCs) == 0 {
		fmt.Fprintln(table, "No IDCs are configured (extensions::failover::idcs): nothing is said of weights.")
		return
	}
	degraded := ""
	if s.Serving.Degraded {
		degraded = "; DEGRADED: not what people asked for"
	}
	fmt.Fprintf(table, "Version %d of %s%s\n\nIDC\tENTRY\tMESH\tWOULD\tWHY\n", s.Serving.Version, clock(s.Serving.At), degraded)
	for _, name := range slices.Sorted(maps.Keys(s.Serving.IDCs)) {
		idc, would := s.Serving.IDCs[name], "-"
		if w, ok := s.Would.IDCs[name]; ok && (w.Entry != idc.Entry || w.Mesh != idc.Mesh) {
			would = percent(w.Entry) + " / " + percent(w.Mesh)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(name), percent(idc.Entry), percent(idc.Mesh), would, printable(cmp.Or(idc.Why, "-")))
	}
}

// outText tells whether a subject is out and, if it is not though it might be, why.
func (s *failoverSubject) outText() string {
	switch {
	case s.Out && s.Provisional:
		return "yes (as before the restart)"
	case s.Out:
		return "yes"
	case s.Blocked != "":
		return "no (" + s.Blocked + ")"
	case s.WouldOut:
		return "no (mode observe)"
	}
	return "no"
}

func percent(weight uint32) string { return fmt.Sprintf("%g %%", float64(weight)*100/xds.Whole) }

// clock is a time as people at a terminal want it: of their own zone.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func since(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return now.Sub(t).Round(time.Second).String() + " ago"
}

func until(t, now time.Time) string {
	return fmt.Sprintf("%s (%s)", t.Local().Format("15:04:05"), t.Sub(now).Round(time.Second))
}

const longHold = 24 * time.Hour // longer ones are an admin's

// newHoldCommand makes hold, eject and restore, which differ in a word.
func newHoldCommand(name string, action failover.Action, short string) *cobra.Command {
	var gateway remote
	var format output
	var all bool
	var lasts time.Duration
	request := map[string]any{"action": action}
	var hard bool
	var why string
	cmd := &cobra.Command{
		Use:   name + " SUBJECT --for TIME",
		Short: short,
		Long: short + `, until its time is over or it is released (lockkeeper failover release). It needs a token of the console's with the role
operator; for more than 24h with the role admin.

A hold yields when no other healthy IDC is left; --hard does not. Nothing takes out the last one of a cluster.

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
			request["subject"], request["for"], request["hard"], request["why"] = "*", lasts.String(), hard, why
			if !all {
				request["subject"] = args[0]
			}
			path := "/api/v1/failover/hold"
			if lasts > longHold {
				path += "/long"
			}
			var done heldAnswer
			if err := gateway.change(cmd.Context(), http.MethodPost, path, nil, request, &done); err != nil {
				return failure{err}
			}
			return failed(done.write(cmd.OutOrStdout(), cmd.ErrOrStderr(), asJSON))
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
	gateway.addFlags(cmd)
	return cmd
}
