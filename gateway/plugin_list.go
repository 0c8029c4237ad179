package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func newPluginListCommand() *cobra.Command {
	var gateway remote
	var format output
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the plugins of a running gateway",
		Long: `List the plugins of a running gateway, how they are and what they use. A plugin's last error stays after it is cured.

Exit codes: 0 all of them are healthy, 1 one is not, or there is no gateway, 2 called wrongly.`,
		Example: `  lockkeeper plugin list
  lockkeeper plugin list --url http://gateway.test:7070 -o json`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			response, err := gateway.get(cmd.Context(), "/api/v1/plugins", nil)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				return fmt.Errorf("the gateway went away: %w", err)
			}
			return listPlugins(body, asJSON, cmd.OutOrStdout())
		}),
	}
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	return cmd
}

// listed is a plugin of /api/v1/plugins, as far as it is shown.
type listed struct {
	Name, Kind, State string
	Healthy           bool
	Restarts          int
	PID               int
	Address           string
	MemoryBytes       int64  `json:"memory_bytes"`
	MemoryLimitBytes  int64  `json:"memory_limit_bytes"`
	LastError         string `json:"last_error"`
	QueryURL          string `json:"query_url"`
	Signals           []string
	Version, SHA256   string
	BinaryChanged     bool `json:"binary_changed"`
	Queues            []waiting
}

// waiting is what an exporter keeps for a plugin that has not taken it yet.
type waiting struct {
	Exporter, Signal, Unit string
	Size, Capacity         int64
	Oldest                 float64 `json:"oldest_seconds"`
}

// filling tells that it is half full, and so stores what the plugin does not take.
func (q *waiting) filling() bool { return q.Capacity > 0 && 2*q.Size >= q.Capacity }

func (q *waiting) text() string {
	text := fmt.Sprintf("%d %% full", 100*q.Size/max(q.Capacity, 1))
	if q.Oldest >= 1 {
		text += fmt.Sprintf(", its oldest has waited %s", time.Duration(q.Oldest*float64(time.Second)).Round(time.Second))
	}
	return text
}

// listPlugins prints a table; it fails when a plugin is not healthy.
func listPlugins(body []byte, asJSON bool, out io.Writer) error {
	var answer struct{ Plugins []listed }
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("not a list of plugins: %w", err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	healthy := true
	fmt.Fprintln(table, "NAME\tKIND\tSTATE\tHEALTHY\tRESTARTS\tPROCESS\tMEMORY\tLAST ERROR")
	for _, p := range answer.Plugins {
		healthy = healthy && p.Healthy
		yes := "no"
		if p.Healthy {
			yes = "yes"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", printable(p.Name), printable(p.Kind), printable(p.State), yes, p.Restarts,
			printable(p.process()), p.memory(), printable(cmp.Or(p.LastError, "-")))
	}
	var err error
	if asJSON {
		_, err = out.Write(body)
	} else {
		err = table.Flush()
	}
	if err == nil && !healthy {
		err = errors.New("a plugin is not healthy: `lockkeeper plugin logs NAME` shows what it says")
	}
	return err
}

// process is where a plugin runs.
func (p *listed) process() string {
	if p.Address == "" && p.PID > 0 {
		return fmt.Sprintf("pid %d", p.PID)
	}
	return cmp.Or(p.Address, "-")
}

func (p *listed) memory() string {
	switch {
	case p.MemoryBytes == 0:
		return "-"
	case p.MemoryLimitBytes == 0:
		return mebibytes(p.MemoryBytes)
	}
	return mebibytes(p.MemoryBytes) + " of " + mebibytes(p.MemoryLimitBytes)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
