package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/probes"
)

func newProbeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "probe",
		Short:   "Probe a target once",
		Example: "  lockkeeper probe run http https://api.example.com/healthz",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("say what to do: lockkeeper probe run MODULE TARGET")
		},
	}
	cmd.AddCommand(newProbeRunCommand())
	return cmd
}

func newProbeRunCommand() *cobra.Command {
	var from source
	var format output
	var target probes.Target
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "run MODULE TARGET",
		Short: "Probe a target once, and say how long each part of it took, or why it failed",
		Long: `Probe a target once, from this machine, as a running gateway does. MODULE is a module of the receiver probes in the configuration, or a kind
with its defaults: dns, grpc, http, icmp, tcp.

Exit codes: 0 the target is well, 1 it is not, or the probe could not be made, 2 called wrongly.`,
		Example: `  lockkeeper probe run http https://api.example.com/healthz --address 127.1.0.1:443
  lockkeeper probe run tcp db.example.com:5432 --timeout 2s
  lockkeeper probe run entry https://api.example.com/healthz --config my.yaml -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("say which module and which target: lockkeeper probe run http https://api.example.com/healthz")
			}
			return nil
		},
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			target.Module, target.Target = cmd.Flags().Arg(0), cmd.Flags().Arg(1)
			module, err := from.probeModule(cmd.Context(), target.Module)
			if err != nil {
				return usageError{err}
			}
			if timeout != 0 {
				module.Timeout = timeout
			}
			if err := module.Validate(); err != nil {
				return usageError{err}
			}
			result, err := probes.Once(cmd.Context(), &module, target)
			if err != nil {
				return usageError{err}
			}
			return reportProbe(cmd.OutOrStdout(), asJSON, target, &result)
		}),
	}
	cmd.Flags().StringVar(&target.Address, "address", "", "`IP:PORT` or IP to connect to instead of what the target's name resolves to")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long the probe may take, instead of what the module says (500ms unless told otherwise)")
	format.addFlags(cmd)
	from.addFlags(cmd)
	return cmd
}

// probeModule finds a module in a configuration, if there is any, and among the kinds.
func (s *source) probeModule(ctx context.Context, name string) (probes.Module, error) {
	all := probes.Config{Modules: map[string]probes.Module{}}
	if len(s.configs) == 0 {
		return all.Module(name)
	}
	loaded, err := readConfiguration(ctx, s)
	if err != nil {
		return probes.Module{}, err
	}
	receivers, err := loaded.resolved.Sub("receivers")
	if err != nil {
		return probes.Module{}, err
	}
	for id := range receivers.ToStringMap() {
		if kind, _, _ := strings.Cut(id, "/"); kind != probes.NewFactory().Type().String() {
			continue
		}
		section, err := receivers.Sub(id)
		if err != nil {
			return probes.Module{}, err
		}
		var one probes.Config
		if err := section.Unmarshal(&one); err != nil {
			return probes.Module{}, err
		}
		maps.Copy(all.Modules, one.Modules)
	}
	return all.Module(name)
}

// probed is what `lockkeeper probe run -o json` answers.
type probed struct {
	Module   string             `json:"module"`
	Target   string             `json:"target"`
	Address  string             `json:"address,omitempty"`
	OK       bool               `json:"ok"`
	Reason   string             `json:"reason,omitempty"`
	Hindered bool               `json:"hindered,omitempty"` // by this machine: it says nothing of the target
	Seconds  float64            `json:"duration_seconds"`
	Phases   []phase            `json:"phases"`
	Metrics  map[string]float64 `json:"metrics"`
}

type phase struct {
	Phase   string  `json:"phase"`
	Seconds float64 `json:"seconds"`
}

// reportProbe writes a result. A target that is not well is an error.
func reportProbe(out io.Writer, asJSON bool, target probes.Target, r *probes.Result) error {
	p := probed{
		Module: target.Module, Target: target.Target, Address: target.Address, OK: r.OK, Reason: printable(r.Reason), Hindered: r.Err != nil,
		Seconds: r.Took.Seconds(), Phases: []phase{}, Metrics: map[string]float64{},
	}
	for _, one := range r.Phases {
		p.Phases = append(p.Phases, phase{one.Name, one.Took.Seconds()})
	}
	for _, v := range r.Values {
		p.Metrics[metricName(v)] = v.Number
	}
	write := p.write
	if asJSON {
		write = func(out io.Writer, _ *probes.Result) error {
			lines := json.NewEncoder(out)
			lines.SetEscapeHTML(false)
			lines.SetIndent("", "  ")
			return lines.Encode(p)
		}
	}
	if err := write(out, r); err != nil {
		return err
	}
	switch {
	case p.OK:
		return nil
	case p.Hindered:
		return fmt.Errorf("the probe could not be made, for reasons of this machine: %s", p.Reason)
	}
	return fmt.Errorf("%s: %s", printable(p.Target), p.Reason)
}

func metricName(v probes.Value) string {
	if v.Label == "" {
		return v.Name
	}
	return fmt.Sprintf("%s{%s=%q}", v.Name, v.Label, printable(v.Is))
}

// write writes for people.
func (p *probed) write(out io.Writer, r *probes.Result) error {
	word := map[bool]string{true: "ok", false: "failed"}[p.OK]
	if p.Hindered {
		word = "not made"
	}
	at := ""
	if p.Address != "" {
		at = " at " + p.Address
	}
	fmt.Fprintf(out, "%s: %s%s by %s in %s\n", word, printable(p.Target), at, p.Module, milliseconds(r.Took))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, one := range r.Phases {
		fmt.Fprintf(table, "  %s\t%s\n", one.Name, milliseconds(one.Took))
	}
	for _, v := range r.Values {
		number := strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.6f", v.Number), "0"), ".")
		if strings.HasSuffix(v.Name, "_cert_expiry") || strings.HasSuffix(v.Name, "_timestamp_seconds") {
			number += "  " + time.Unix(int64(v.Number), 0).UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "  %s\t%s\n", metricName(v), number)
	}
	return table.Flush()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
