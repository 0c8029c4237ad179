package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

func newFailoverEventsCommand() *cobra.Command {
	var gateway remote
	var format output
	var since, subject, kind string
	var lines int
	var followed bool
	cmd := &cobra.Command{
		Use:   "events [-f]",
		Short: "Show what was done, when, why and by whom",
		Long: `Show the last lines of the audit: what was observed, taken out and put back, moved, held and asked, when, why, and by whom. With -f it goes
on until Ctrl-C.`,
		Example: `  lockkeeper failover events --since 1h --subject idc/
  lockkeeper failover events -f`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(lines)}}
			for name, value := range map[string]string{"since": since, "subject": subject, "kind": kind} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if followed {
				query.Set("follow", "true")
			}
			ended, err := gateway.lines(cmd.Context(), "/api/v1/events", query, func(line []byte) error { return showEvent(line, asJSON, cmd.OutOrStdout()) })
			if ended && followed {
				return fmt.Errorf("the gateway at %s has ended the events: it stops, or it reloads", gateway.url)
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&since, "since", "", "only those since a `TIME` like 2006-01-02T15:04:05Z, or one that is past, like 10m")
	cmd.Flags().StringVar(&subject, "subject", "", "only of subjects whose names begin with `PREFIX`")
	cmd.Flags().StringVar(&kind, "kind", "", "only of this `KIND`: verdict, ejected, returned, diagnosis, weights, freeze, alarm, hold, shift or state")
	cmd.Flags().IntVarP(&lines, "lines", "n", 100, "begin with the last `N` lines, at most 10000")
	cmd.Flags().BoolVarP(&followed, "follow", "f", false, "go on with what happens from now on")
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	return cmd
}

func showEvent(line []byte, asJSON bool, out io.Writer) error {
	var e failover.Event
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("not an event: %w", err)
	}
	if asJSON {
		_, err := out.Write(line)
		return err
	}
	text := fmt.Sprintf("%s %-9s %s: %s", clock(e.At), e.Kind, cmp.Or(e.Subject, "-"), e.What)
	if e.Who != "" {
		text += ", by " + e.Who
	}
	if e.Why != "" {
		text += ": " + e.Why
	}
	if e.Undoes != "" {
		text += " (before: " + e.Undoes + ")"
	}
	_, err := fmt.Fprintln(out, printable(text))
	return err
}
