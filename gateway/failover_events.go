package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

func newFailoverEventsCommand() *cobra.Command {
	var gateways remotes
	var format output
	var since, subject, kind string
	var lines int
	var followed bool
	cmd := &cobra.Command{
		Use:   "events [-f]",
		Short: "Show what was done, when, why and by whom",
		Long: `Show the last lines of the audit: what was observed, taken out and put back, moved, held and asked, when, why, and by whom. With -f it goes
on until Ctrl-C. With several --url the lines of all, each with its gateway.`,
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
			all, err := gateways.all()
			if err != nil {
				return err
			}
			show := func(e *heardEvent) error { return e.write(cmd.OutOrStdout(), asJSON) }
			if len(all) == 1 {
				return listen(cmd.Context(), all[0], query, show)
			}
			meet(cmd.Context(), all)
			r := eventReader{query: query, most: lines, show: show, warn: func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), "warning:", err) }}
			return r.read(cmd.Context(), all)
		}),
	}
	cmd.Flags().StringVar(&since, "since", "", "only those since a `TIME` like 2006-01-02T15:04:05Z, or one that is past, like 10m")
	cmd.Flags().StringVar(&subject, "subject", "", "only of subjects whose names begin with `PREFIX`")
	cmd.Flags().StringVar(&kind, "kind", "", "only of this `KIND`: verdict, ejected, returned, diagnosis, weights, freeze, alarm, hold, shift or state")
	cmd.Flags().IntVarP(&lines, "lines", "n", 100, "begin with the last `N` lines, at most 10000")
	cmd.Flags().BoolVarP(&followed, "follow", "f", false, "go on with what happens from now on")
	format.addFlags(cmd)
	gateways.addFlags(cmd)
	completeFlag(cmd, "subject", gateways.subjects)
	completeFlag(cmd, "kind", words("verdict", "ejected", "returned", "diagnosis", "weights", "freeze", "alarm", "hold", "shift", "state"))
	return cmd
}

// heardEvent is an event that a gateway told.
type heardEvent struct {
	failover.Event
	from string // "": there is no other gateway
	line []byte
}

func (e *heardEvent) write(out io.Writer, asJSON bool) error {
	switch {
	case asJSON && e.from == "":
		_, err := out.Write(e.line)
		return err
	case asJSON:
		name, err := json.Marshal(e.from)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, `{"gateway":%s,%s`, name, bytes.TrimPrefix(e.line, []byte("{")))
		return err
	}
	text := fmt.Sprintf("%s %-9s %s: %s", clock(e.At), e.Kind, cmp.Or(e.Subject, "-"), e.What)
	if e.from != "" {
		text = e.from + ": " + text
	}
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

// listen hears the events of a gateway.
func listen(ctx context.Context, g *remote, query url.Values, hear func(*heardEvent) error) error {
	ended, err := g.lines(ctx, "/api/v1/events", query, func(line []byte) error {
		e := &heardEvent{line: line}
		if err := json.Unmarshal(line, &e.Event); err != nil {
			return fmt.Errorf("not an event: %w", err)
		}
		return hear(e)
	})
	if ended && query.Has("follow") {
		return fmt.Errorf("the gateway at %s has ended the events: it stops, or it reloads", g.url)
	}
	return err
}

// eventReader brings the events of several gateways in the order of their times.
type eventReader struct {
	query url.Values
	most  int // that are shown, unless they are followed: the newest of all
	show  func(*heardEvent) error
	warn  func(error)
}

const eventsWait = 300 * time.Millisecond // for what another gateway tells of the same moment

// read shows events until all gateways have ended theirs. One that fails keeps nobody from hearing the others.
func (r *eventReader) read(ctx context.Context, gateways []*remote) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard, ended := make(chan *heardEvent), make(chan error)
	for _, g := range gateways {
		go func() {
			ended <- listen(ctx, g, r.query, func(e *heardEvent) error {
				e.from = g.label()
				heard <- e
				return nil
			})
		}()
	}
	followed := r.query.Has("follow")
	var waiting []*heardEvent
	tick := time.NewTicker(eventsWait)
	defer tick.Stop()
	for left := len(gateways); left > 0; {
		select {
		case e := <-heard:
			waiting = append(waiting, e)
		case failure := <-ended:
			if left--; failure != nil && left > 0 {
				r.warn(failure)
			}
			err = errors.Join(err, failure)
		case <-tick.C:
			if !followed {
				continue
			}
			if failure := r.flush(waiting, len(waiting)); failure != nil {
				err = errors.Join(err, failure) // nobody reads it
				cancel()
			}
			waiting = nil
		}
	}
	if followed {
		r.most = len(waiting)
	}
	return errors.Join(err, r.flush(waiting, r.most))
}

// flush shows the newest of those that wait, as many as most.
func (r *eventReader) flush(waiting []*heardEvent, most int) error {
	slices.SortStableFunc(waiting, func(a, b *heardEvent) int { return a.At.Compare(b.At) })
	for _, e := range waiting[max(0, len(waiting)-max(most, 0)):] {
		if err := r.show(e); err != nil {
			return err
		}
	}
	return nil
}
