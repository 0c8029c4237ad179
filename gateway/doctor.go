package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// doctorTimeout is for the look at a gateway's telemetry, of which two seconds are the look itself.
const doctorTimeout = 15 * time.Second

func newDoctorCommand() *cobra.Command {
	var gateways remotes
	var from source
	var format output
	var d doctor
	cmd := &cobra.Command{
		Use:   "doctor [--config FILE]…",
		Short: "Tell what is wrong with a gateway and with what reaches it, and the cure",
		Long: `Ask gateways what is wrong, the worst first: telemetry, clocks, plugins and their queues, rules, probes and verdicts, DNS and its delegation by
the parent zone, the cluster, and who takes endpoints by xDS. It looks at two seconds of traffic, so run it while there is some.

With --config it also looks at this machine, which should be the gateway's: whether that configuration could start here, or what keeps it from that;
ports, the permission to ping, plugin binaries, disks.

Findings are error (broken), warn (not as it should be), skip (could not be looked at) or ok. Each that is not ok has its cure.

Exit codes: 0 nothing is broken (there may be warnings), 1 something is, or there is no gateway, 2 called wrongly.`,
		Example: `  lockkeeper doctor
  lockkeeper doctor --url http://berlin.test:7070 --url http://tokyo.test:7070 -o json
  lockkeeper doctor --config my.yaml`,
		Args: cobra.NoArgs,
		RunE: shows(&gateways, &format, func(cmd *cobra.Command, all []*remote, asJSON bool) error {
			if d.resolver == "" {
				d.resolver = systemResolver()
			}
			d.examine(cmd.Context(), all)
			if len(from.configs) > 0 {
				d.machine(cmd.Context(), &from)
			}
			return d.report(cmd.OutOrStdout(), asJSON)
		}),
	}
	cmd.Flags().StringVar(&d.resolver, "resolver", "", "`ADDRESS` of the DNS server to ask who serves the parents of zones; default: this machine's")
	from.addFlags(cmd)
	format.addFlags(cmd)
	gateways.addFlags(cmd)
	return cmd
}

// finding is one thing that the doctor found, and what to do about it.
type finding struct {
	Gateway string `json:"gateway,omitempty"` // where there are several
	Level   string `json:"level"`
	ID      string `json:"id"` // of the kind of finding
	Subject string `json:"subject,omitempty"`
	Text    string `json:"text"` // what it is, and what it was told from
	Cure    string `json:"cure,omitempty"`
}

// The levels, the worst first.
const (
	levelError = "error"
	levelWarn  = "warn"
	levelSkip  = "skip"
	levelOK    = "ok"
)

// doctor collects findings.
type doctor struct {
	resolver string // host or host:port
	dnsPort  string // of the parents' servers; "": 53
	findings []finding
	gateway  string // whom those are about that are added now
	answered bool   // a gateway has
}

func (d *doctor) add(level, id, subject, text, cure string) {
	d.findings = append(d.findings, finding{d.gateway, level, id, subject, text, cure})
}

// area adds what look finds, or that all is well.
func (d *doctor) area(id, well string, look func()) {
	before := len(d.findings)
	if look(); len(d.findings) == before {
		d.add(levelOK, id, "", well, "")
	}
}

// telemetryFindings are what a gateway's receiver finds.
type telemetryFindings struct{ Findings []finding }

// examine asks all gateways.
func (d *doctor) examine(ctx context.Context, gateways []*remote) {
	if len(gateways) > 1 {
		meet(ctx, gateways)
	}
	var looked []said[*telemetryFindings]
	var looking sync.WaitGroup
	looking.Go(func() {
		looked = askWithin(ctx, doctorTimeout, gateways, func(ctx context.Context, g *remote) (*telemetryFindings, error) {
			t := &telemetryFindings{}
			_, err := g.read(ctx, "/api/v1/doctor", nil, t)
			return t, err
		})
	})
	r := reading[overview]{path: overviewPath, query: url.Values{"whole": {"true"}}, facts: (*overview).facts}
	all, differences := r.agreed(ctx, gateways)
	looking.Wait()
	var answers []*overview
	for i := range all {
		if d.gateway = ""; len(all) > 1 {
			d.gateway = all[i].label()
		}
		if err := all[i].err; err != nil {
			d.silent(err)
			continue
		}
		d.answered = true
		o := &all[i].answer.answer
		o.asked, o.answered = all[i].asked, all[i].answered
		answers = append(answers, o)
		d.telemetry(looked[i].answer, looked[i].err)
		d.one(ctx, all[i].remote, o)
		if differences != nil && len(differences[i]) > 0 {
			d.add(levelError, "disagree", "", "says something else than the others: "+few(differences[i]),
				"`lockkeeper cluster` tells whether they hear each other; gateways without the extension cluster decide alone, and should have the same settings of failover and the same probes")
		}
	}
	d.gateway = ""
	d.together(answers)
}

func (d *doctor) silent(err error) {
	cure := "start it, or give the --url of its console; `lockkeeper doctor --config FILE` on its machine tells what keeps it from starting"
	var refused refusedError
	if errors.As(err, &refused) && refused.code == http.StatusNotFound {
		cure = "is it a gateway's console, and of this version? `lockkeeper version` tells this one's"
	}
	d.add(levelError, "no_gateway", "", strings.ReplaceAll(err.Error(), "\n", "; "), cure)
}

// telemetry adds what the receiver of Envoys' telemetry says of itself.
func (d *doctor) telemetry(t *telemetryFindings, err error) {
	var refused refusedError
	switch {
	case errors.As(err, &refused) && refused.code == http.StatusNotFound: // it takes in none
	case err != nil:
		d.add(levelError, "telemetry", "", "the receiver of telemetry does not answer: "+err.Error(), "the gateway's log says why")
	default:
		for _, f := range t.Findings {
			d.add(f.Level, f.ID, f.Subject, f.Text, f.Cure)
		}
	}
}

// one looks at all parts of a gateway but its telemetry.
func (d *doctor) one(ctx context.Context, g *remote, o *overview) {
	for _, why := range o.failing() {
		d.add(levelError, "part", "", why, "the gateway's log says why; a part that hangs is freed by a restart, which costs no state")
	}
	d.clock(o)
	s := &o.Sections
	if s.Plugins != nil {
		d.area("plugins", fmt.Sprintf("%d plugins are healthy, and nothing waits for them for long", len(s.Plugins.Plugins)), func() { d.plugins(s.Plugins) })
	}
	if s.Probes != nil || s.Failover != nil {
		d.area("verdicts", "probes and failover see no hindrance", func() {
			d.probes(s.Probes, s.Failover)
			d.failover(s.Failover)
		})
	}
	if s.DNS != nil {
		d.area("dns", "DNS answers what is served", func() { d.dns(s.DNS) })
		d.delegations(ctx, s.DNS)
	}
	if s.Cluster != nil {
		d.area("cluster", s.Cluster.line(), func() { d.cluster(s.Cluster) })
	}
	d.reach(g, o)
	if s.XDS != nil {
		d.area("xds", fmt.Sprintf("%d streams take what is served", s.XDS.Streams), func() { d.xds(s.XDS, s.Failover) })
	}
}

// sorted are all findings, the worst first.
func (d *doctor) sorted() []finding {
	levels := []string{levelError, levelWarn, levelSkip, levelOK}
	slices.SortStableFunc(d.findings, func(a, b finding) int {
		return cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level))
	})
	return d.findings
}

// report prints findings; it fails when one of them is an error.
func (d *doctor) report(out io.Writer, asJSON bool) error {
	broken := 0
	for _, f := range d.sorted() {
		if f.Level == levelError {
			broken++
		}
		if !asJSON {
			f.write(out)
		}
	}
	if asJSON {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		lines.SetIndent("", "  ")
		if err := lines.Encode(map[string]any{"findings": d.findings}); err != nil {
			return err
		}
	}
	switch broken {
	case 0:
		return nil
	case 1:
		return errors.New("something is broken: the finding above says how to cure it")
	}
	return fmt.Errorf("%d things are broken: the findings above say how to cure them", broken)
}

func (f *finding) write(out io.Writer) {
	text := f.Text
	for _, whose := range []string{f.Subject, f.Gateway} {
		if whose != "" {
			text = whose + ": " + text
		}
	}
	fmt.Fprintf(out, "%-5s %s: %s\n", f.Level, f.ID, printable(text))
	if f.Cure != "" {
		fmt.Fprintf(out, "      cure: %s\n", printable(f.Cure))
	}
}
