package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const clusterPath = "/api/v1/cluster"

// clusterState is the answer of /api/v1/cluster, as far as it is shown.
type clusterState struct {
	Name, Site, Advertise string
	Members               []clusterMember
	Silent                []struct{ Site, Why string }
	Refused               map[string]struct {
		Count int64
		Last  string
		At    time.Time
	}
}

type clusterMember struct {
	Name, Site, Address, State, Version string
	Since                               time.Time
	LastWord                            time.Time `json:"last_word"`
	Self                                bool
}

const (
	memberAlive = "alive"
	memberLeft  = "left" // it was stopped
)

func newClusterCommand() *cobra.Command {
	var gateways remotes
	var format output
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Show which gateways decide together, and which of them answer",
		Long: `Show the gateways of the cluster as one of them sees them: whether they answer, since when they do or do not, and when their last word came.
With several --url also who sees it otherwise.

Exit codes: 0 all sites answer, 1 one is silent, gateways disagree, or there is none, 2 called wrongly.`,
		Example: `  lockkeeper cluster
  lockkeeper cluster --url http://berlin.test:7070 --url http://tokyo.test:7070`,
		Args: cobra.NoArgs,
		RunE: shows(&gateways, &format, func(cmd *cobra.Command, all []*remote, asJSON bool) error {
			r := reading[clusterState]{path: clusterPath, facts: (*clusterState).facts, write: func(out io.Writer, answers []*clusterState) error {
				return answers[0].write(out, time.Now())
			}}
			if state, err := r.show(cmd, all, asJSON); err != nil {
				return err
			} else if len(state.Silent) > 0 {
				return errors.New("a site is silent")
			}
			return nil
		}),
	}
	format.addFlags(cmd)
	gateways.addFlags(cmd)
	return cmd
}

// answers tells whether another gateway answers this one.
func (c *clusterState) answers(other clusterState) bool {
	return slices.ContainsFunc(c.Members, func(m clusterMember) bool {
		return m.Name == other.Name && m.Address == other.Advertise && m.State == memberAlive
	})
}

// facts are who answers.
func (c *clusterState) facts(*remote) map[fact]string {
	facts := map[fact]string{}
	for _, m := range c.Members {
		facts[fact{"sees " + m.Name, "not at all"}] = m.State
	}
	return facts
}

func (c *clusterState) write(out io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range c.Silent {
		fmt.Fprintf(table, "ALARM site %s is silent: %s\n", printable(s.Site), printable(s.Why))
	}
	fmt.Fprintln(table, "NAME\tSITE\tADDRESS\tSTATE\tSINCE\tLAST WORD\tVERSION")
	for _, m := range c.Members {
		word := since(m.LastWord, now)
		if m.Self {
			word = "this one"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(m.Name), printable(m.Site), printable(m.Address), printable(m.State), since(m.Since, now), word,
			printable(m.Version))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, reason := range slices.Sorted(maps.Keys(c.Refused)) {
		if r := c.Refused[reason]; r.Count > 0 {
			fmt.Fprintf(out, "refused %d messages (%s): %s\n", r.Count, printable(reason), printable(strings.TrimSpace(r.Last)))
		}
	}
	return nil
}
