package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
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
	var gateways remotes
	var format output
	var all bool
	cmd := &cobra.Command{
		Use:   "list [SUBJECT…]",
		Short: "Show what is served, what is taken out, and why",
		Long: `Show the weights of the IDCs, what is wrong, holds, and of the subjects those that are not healthy, are out or are held; with --all all
of them. Arguments are what the names of subjects begin with. With several --url it is told first which gateways say something else than most.

Exit codes: 0 shown, 1 there is no gateway, one of several does not answer or says something else, 2 called wrongly.`,
		Example: `  lockkeeper failover list
  lockkeeper failover list --url http://berlin.test:7070 --url http://tokyo.test:7070
  lockkeeper failover list --all machine/rack7
  lockkeeper failover list -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			return failed(listFailover(cmd, &gateways, args, all, asJSON))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also subjects that are healthy")
	format.addFlags(cmd)
	gateways.addFlags(cmd)
	cmd.ValidArgsFunction = completes(false, gateways.subjects)
	return cmd
}

func listFailover(cmd *cobra.Command, gateways *remotes, prefixes []string, all, asJSON bool) error {
	asked, err := gateways.all()
	if err != nil {
		return err
	}
	r := reading[failoverState]{path: "/api/v1/failover", query: url.Values{}, facts: (*failoverState).facts}
	if len(prefixes) == 1 {
		r.query.Set("subject", prefixes[0])
	}
	r.write = func(out io.Writer, answers []*failoverState) error {
		state := answers[0]
		state.Subjects = slices.DeleteFunc(state.Subjects, func(s failoverSubject) bool {
			named := len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s.Subject, p) })
			return !named || !all && s.Health == "healthy" && !s.Out && s.Held == nil
		})
		return state.write(out, time.Now())
	}
	_, err = r.show(cmd, asked, asJSON)
	return err
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

// facts are what is served and held, and the verdicts. Each gateway counts versions by itself, unless it is in a cluster.
func (s *failoverState) facts(of *remote) map[fact]string {
	facts := map[fact]string{}
	if of.cluster.Name != "" {
		facts[fact{"is at version", ""}] = fmt.Sprint(s.Serving.Version)
	}
	for name, idc := range s.Serving.IDCs {
		facts[fact{"gives " + name, "nothing"}] = percent(idc.Entry) + " / " + percent(idc.Mesh)
	}
	for name, out := range s.Serving.Out {
		word := "out"
		if out.Drain {
			word = "draining"
		}
		facts[fact{"has " + name, "in"}] = word
	}
	for _, h := range s.Holds {
		facts[fact{"holds " + h.Subject, "not"}] = holdWord(h)
	}
	for i := range s.Subjects {
		if x := &s.Subjects[i]; x.Health != "unknown" {
			facts[fact{"calls " + x.Subject, ""}] = x.Health
		}
	}
	return facts
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
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(h.Subject), holdWord(h), printable(h.By), until(h.Until, now), printable(cmp.Or(h.Why, "-")))
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

func holdWord(h failover.Hold) string {
	if h.Hard {
		return string(h.Action) + " (hard)"
	}
	return string(h.Action)
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
