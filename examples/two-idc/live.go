package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// live sends a gentle mix of all trials and shows the edges as the gateway sees them, until ctx ends.
func live(ctx context.Context, o options) (err error) {
	asked := ctx
	ctx, d, err := start(ctx, o, setting{name: "live", identity: o.identity})
	defer func() {
		if asked.Err() != nil {
			err = nil // Ctrl-C is how it ends
			d.say("stopping")
		}
		err = errors.Join(err, d.close())
	}()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	var surprises atomic.Int64
	for _, c := range d.callers {
		wait.Go(func() { c.mix(ctx, &surprises) })
	}
	redraw := time.NewTicker(2 * time.Second)
	defer redraw.Stop()
	for {
		select {
		case <-redraw.C:
			all, err := edges(ctx)
			if err != nil && ctx.Err() == nil {
				return err
			}
			show(d, all, surprises.Load())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// mix sends every trial in turn, with plain requests between.
func (c *caller) mix(ctx context.Context, surprises *atomic.Int64) {
	pause := time.NewTicker(150 * time.Millisecond)
	defer pause.Stop()
	plain := []sender{get("/app/delay/2ms", 200), get("/app/delay/15ms", 200), get("/app/status/404", 404), call(answerMethod, 0)}
	for {
		for _, t := range append(servedTrials(), failedTrials()...) {
			for _, send := range append(plain, t.send) {
				if err := send(ctx, c); err != nil && ctx.Err() == nil {
					surprises.Add(1)
				}
				select {
				case <-pause.C:
				case <-ctx.Done():
					return
				}
			}
		}
	}
}

func show(d *demo, all []edge, surprises int64) {
	slices.SortFunc(all, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.IDC, b.IDC), cmp.Compare(b.Reporter, a.Reporter), cmp.Compare(a.Source.Workload, b.Source.Workload),
			cmp.Compare(a.Destination.Workload, b.Destination.Workload), cmp.Compare(a.Protocol, b.Protocol))
	})
	var b strings.Builder
	if info, err := os.Stdout.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		b.WriteString("\033[H\033[J") // a terminal: redraw in place
	}
	fmt.Fprintf(&b, "Two data centres, identity %s, the last minute. Console %s/  vmui %s/vmui/  Ctrl-C stops everything.\n\n", d.identity, consoleURL, consoleURL)
	fmt.Fprintf(&b, "%-5s %-11s %-12s   %-12s %-5s %8s %7s %8s %8s  %s\n", "IDC", "REPORTER", "SOURCE", "DESTINATION", "PROTO", "REQ/S", "ERRORS", "P50 MS", "P99 MS", "FLAGS")
	for _, e := range all {
		var flags []string
		for _, flag := range slices.Sorted(maps.Keys(e.Flags)) {
			flags = append(flags, fmt.Sprintf("%s %d", flag, e.Flags[flag]))
		}
		fmt.Fprintf(&b, "%-5s %-11s %-12s → %-12s %-5s %8.1f %6.1f%% %8.1f %8.1f  %s\n", e.IDC, e.Reporter, e.Source.Workload, e.Destination.Workload,
			e.Protocol, e.Rate, 100*e.ErrorShare, e.P50, e.P99, strings.Join(flags, ", "))
	}
	fmt.Fprintf(&b, `
In another terminal:
  bin/lockkeeper tail --errors --idc idc1   requests that fail, as they end
  bin/lockkeeper doctor                     whether all telemetry arrives, and what to do about what does not
  bin/lockkeeper explain UF,URX             what flags mean, and what to check
  %s/vmui/   lockkeeper_edge_loss_ratio, lockkeeper_endpoint_failures_total, lockkeeper_als_coverage_ratio
`, consoleURL)
	if surprises > 0 {
		fmt.Fprintf(&b, "\n%d answers were not what the generator expected.\n", surprises)
	}
	fmt.Print(b.String())
}
