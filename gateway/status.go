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
)

func newStatusCommand() *cobra.Command {
	var gateways remotes
	var format output
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen how it stands, and what is wrong",
		Long: `Show on one screen what is wrong, and then how it stands: the IDCs, what is taken out and held, probes, alerts, plugins with their queues,
telemetry, and the gateways of the cluster. With several --url what all of them say, and who says something else than most.

Exit codes: 0 all is well, 1 something is wrong, or there is no gateway, 2 called wrongly.`,
		Example: `  lockkeeper status
  lockkeeper status --url http://berlin.test:7070 --url http://tokyo.test:7070
  lockkeeper status -o json`,
		Args: cobra.NoArgs,
		RunE: shows(&gateways, &format, showStatus),
	}
	format.addFlags(cmd)
	gateways.addFlags(cmd)
	return cmd
}

func showStatus(cmd *cobra.Command, all []*remote, asJSON bool) error {
	wrong := 0
	r := reading[overview]{path: overviewPath, query: url.Values{"whole": {"true"}}, facts: (*overview).facts}
	r.write = func(out io.Writer, answers []*overview) error {
		return writeStatus(out, answers, time.Now())
	}
	r.seen = func(answers []*overview) { wrong = len(allProblems(answers)) }
	if _, err := r.show(cmd, all, asJSON); err != nil {
		return err
	}
	switch wrong {
	case 0:
		return nil
	case 1:
		return errors.New("one thing is wrong")
	}
	return fmt.Errorf("%d things are wrong", wrong)
}

// facts are what gateways should agree on: what they decide.
func (o *overview) facts(of *remote) map[fact]string {
	if o.Sections.Failover == nil {
		return nil
	}
	return o.Sections.Failover.facts(of)
}

// allProblems are those of all gateways; what only one of several says has its name before it.
func allProblems(answers []*overview) (all []string) {
	said, order := map[string][]string{}, []string{}
	for _, o := range answers {
		for _, p := range o.problems() {
			if said[p] == nil {
				order = append(order, p)
			}
			said[p] = append(said[p], o.Gateway)
		}
	}
	for _, p := range order {
		if len(said[p]) < len(answers) {
			p = strings.Join(said[p], ", ") + ": " + p
		}
		all = append(all, p)
	}
	return all
}

const mostProblems = 20 // on one screen

func writeStatus(out io.Writer, answers []*overview, now time.Time) error {
	problems := allProblems(answers)
	if len(problems) == 0 {
		fmt.Fprintln(out, "All is well.")
	}
	for i, p := range problems {
		if i == mostProblems {
			fmt.Fprintf(out, "WRONG and %d more: -o json has all\n", len(problems)-i)
			break
		}
		fmt.Fprintln(out, "WRONG "+printable(p))
	}
	first := answers[0]
	first.Sections.Failover.writeStatus(out, first.Sections.Mesh.entered(), now)
	for _, o := range answers {
		fmt.Fprintf(out, "\nGATEWAY    %s, version %s, at %s\n", printable(o.Gateway), printable(o.Version), clock(o.At))
		o.writeParts(out)
	}
	return nil
}

// writeParts writes a line for each part.
func (o *overview) writeParts(out io.Writer) {
	s := &o.Sections
	line := func(name, text string) { fmt.Fprintf(out, "%-10s %s\n", name, printable(text)) }
	for _, part := range []struct {
		name, section string
		there         bool
		text          func() string
	}{
		{"PROBES", "probes", s.Probes != nil, func() string { return s.Probes.line() }},
		{"ALERTS", "alerts", o.Missing["alerts"] == "", func() string { return alertsLine(s.Alerts) }},
		{"PLUGINS", "plugins", s.Plugins != nil, func() string { return s.Plugins.line() }},
		{"TELEMETRY", "nodes", s.Nodes != nil, func() string { return s.Nodes.line() + s.Mesh.line() }},
		{"DNS", "dns", s.DNS != nil, func() string { return s.DNS.line() }},
		{"XDS", "xds", s.XDS != nil, func() string { return fmt.Sprintf("%d streams", s.XDS.Streams) }},
		{"CLUSTER", "cluster", s.Cluster != nil, func() string { return s.Cluster.line() }},
	} {
		if part.there {
			line(part.name, part.text())
		} else if why := o.Missing[part.section]; !strings.Contains(why, "not configured") {
			line(part.name, cmp.Or(why, "-"))
		}
	}
}

func (s *failoverState) writeStatus(out io.Writer, entered map[string]float64, now time.Time) {
	if s == nil {
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	all := 0.
	for _, rate := range entered {
		all += rate
	}
	if len(s.Serving.IDCs) > 0 {
		fmt.Fprintln(table, "\nIDC\tENTRY\tMEASURED\tMESH\tVERDICT\tWHY")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Serving.IDCs)) {
		idc, measured := s.Serving.IDCs[name], "-"
		if all > 0 {
			measured = fmt.Sprintf("%.1f %%", 100*entered[name]/all)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(name), percent(idc.Entry), measured, percent(idc.Mesh), printable(s.verdict(name)), printable(cmp.Or(idc.Why, "-")))
	}
	s.writeOut(table, now)
	if s.Shift.ID != "" {
		fmt.Fprintf(table, "\nSHIFT %s of %s is on: `lockkeeper shift status`\n", printable(s.Shift.ID), printable(s.Shift.By))
	}
	_ = table.Flush() // to a terminal or a pipe: what comes next fails alike
}

const mostOut = 10 // on one screen

// writeOut writes what is taken out or held.
func (s *failoverState) writeOut(table io.Writer, now time.Time) {
	n := 0
	for i := range s.Subjects {
		x := &s.Subjects[i]
		if !x.Out && x.Held == nil {
			continue
		}
		switch n++; {
		case n == 1:
			fmt.Fprintln(table, "\nOUT OR HELD\tHEALTH\tSINCE\tOUT\tWHY")
		case n > mostOut:
			continue
		}
		why := x.Why
		if x.Held != nil {
			why = fmt.Sprintf("%s by %s until %s: %s", x.Held.Action, x.Held.By, until(x.Held.Until, now), cmp.Or(x.Held.Why, "-"))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(x.Subject), printable(x.Health), since(x.Since, now), printable(x.outText()), printable(cmp.Or(why, "-")))
	}
	if n > mostOut {
		fmt.Fprintf(table, "and %d more: `lockkeeper failover list`\n", n-mostOut)
	}
}

// verdict is that of an IDC's sides, the worse one.
func (s *failoverState) verdict(idc string) string {
	verdict := ""
	for i := range s.Subjects {
		if x := &s.Subjects[i]; strings.HasPrefix(x.Subject, "idc/"+idc+"/") {
			if verdict == "" || unwell(x.Health) || verdict == "unknown" && !unwell(verdict) {
				verdict = x.Health
			}
		}
	}
	return cmp.Or(verdict, "not probed")
}
