package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	machineClean = 3 * time.Second // as in machine/lockkeeper.yaml
	slowAfter    = 250 * time.Millisecond
	quietFor     = time.Second             // a try is logged when it has ended, half a second after its begin at most
	deadFor      = 1200 * time.Millisecond // after the verdict: what ends well within a second of it would take the verdict back
	repeats      = 3                       // of a run that shows nothing
	longDeath    = 15 * time.Second        // of the first machine, to show what the other fleets do
	settled      = 100 * time.Millisecond  // after the last try: what began before may have been on its way to it
)

// A profile is how machines are probed, and within what time a dead one must be out of use.
type profile struct {
	name, failover    string
	interval, timeout time.Duration
	within            time.Duration // median
}

func profiles() []profile {
	return []profile{
		{"fast: 250 ms × 3", "fast", 250 * time.Millisecond, 250 * time.Millisecond, time.Second},
		{"1 s × 3", "", time.Second, 500 * time.Millisecond, 3500 * time.Millisecond},
	}
}

// A suffered is what a fault of a machine did to the requests of a fleet, in all runs.
type suffered struct {
	Fault    string    `json:"fault"`
	Profile  string    `json:"profile"`
	Fleet    string    `json:"fleet"`
	Last     []float64 `json:"last_seconds"` // from the fault to the begin of the last try at the machine, by run
	Dead     []float64 `json:"dead_seconds"` // how long it was dead: a fleet whose last try is as late has never stopped
	Returned []float64 `json:"returned_seconds,omitempty"`
	Requests int       `json:"requests"` // that began while it was dead
	Failed   int       `json:"failed"`
	Slow     int       `json:"slow"`
	After    int       `json:"failed_after"` // failed, and began after the last try at it
}

func (r suffered) stopped() bool {
	for i := range r.Last {
		if r.Dead[i]-r.Last[i] < quietFor.Seconds()/2 {
			return false
		}
	}
	return true
}

// machineScene runs the scene "machine": a machine with endpoints of 50 clusters dies, and Envoys stop sending to it.
func machineScene(ctx context.Context, o options) (err error) {
	n, done, err := enterNetwork(ctx, "machine", "The machines are processes there, probed by tcp and http: neither cables and packets that are lost can be shown, nor pings")
	if done || err != nil {
		return err
	}
	s := &machineStage{options: o, network: n}
	defer func() { err = errors.Join(err, s.close()) }()
	if ctx, err = s.open(ctx); err != nil {
		return err
	}
	faults, all := n.faults(), profiles()
	if o.short {
		faults, all, s.runs = faults[:1], all[:1], 1
		all[0].within *= 2 // of one run there is no median, and the machine that it runs on may be busy
	}
	for _, p := range all {
		for _, f := range faults {
			if err := s.suffer(ctx, p, f); err != nil {
				return fmt.Errorf("%s, %s: %w", f.name, p.name, err)
			}
		}
	}
	return errors.Join(s.lockkeeper(ctx, "failover", "events", "-n", "12"), s.verdict())
}

// suffer has a fault happen to the machines in turn. Each has forgotten what was before: a machine that has just died would have to be well for longer each time.
func (s *machineStage) suffer(ctx context.Context, p profile, f fault) error {
	rows := make([]*suffered, len(s.fleets))
	for i, fleet := range s.fleets {
		rows[i] = &suffered{Fault: f.name, Profile: p.name, Fleet: fleet.name}
		s.found = append(s.found, rows[i])
	}
	for run := range s.runs {
		victims := machines()
		if run%len(victims) == 0 {
			if err := s.fresh(ctx, p); err != nil {
				return err
			}
		}
		var keep time.Duration
		if run == 0 && len(s.found) == len(s.fleets) && !s.short {
			keep = longDeath
		}
		for again := 0; ; again++ {
			spoiled, err := s.run(ctx, p, f, victims[run%len(victims)], keep, rows)
			if err != nil {
				return err
			}
			if spoiled == 0 {
				break
			}
			if again == repeats {
				return fmt.Errorf("%d tries failed at machines that were well: this machine is too busy to show anything", spoiled)
			}
			s.say("%s: %d tries failed at machines that were well, since this machine is busy: once more", f.name, spoiled)
		}
	}
	s.check(p, f, rows)
	return nil
}

// run lets a machine suffer for as long as keep at least, and until the gateway's Envoys have left it alone for a while, and waits until they use it again.
// It adds to the rows what that did, unless tries failed at the other machines, too: that is this machine's doing.
func (s *machineStage) run(ctx context.Context, p profile, f fault, victim box, keep time.Duration, rows []*suffered) (spoiled int, err error) {
	address := netip.MustParseAddr(s.network.ip(victim.host))
	if err := s.busy(ctx, address); err != nil {
		return 0, err
	}
	time.Sleep(rand.N(p.interval)) // whenever the next probe is due
	struck, mended, err := s.strike(ctx, f, victim, address, keep)
	if err != nil {
		return 0, err
	}
	back, err := s.back(ctx, victim, address, mended)
	if err != nil {
		return 0, err
	}
	for _, fleet := range s.fleets {
		spoiled += fleet.spoiled(address, struck, mended)
	}
	if spoiled > 0 {
		return spoiled, nil
	}
	rows[0].Returned = append(rows[0].Returned, back.Sub(mended).Seconds())
	for i, fleet := range s.fleets {
		if err := rows[i].add(fleet, address, struck, mended); err != nil {
			return 0, err
		}
	}
	s.say("%s, %s: the last request was sent to it after %.2f s, the first again %.1f s after it was well", f.name, victim.name,
		rows[0].Last[len(rows[0].Last)-1], back.Sub(mended).Seconds())
	return 0, nil
}

// strike tells how long the machine was dead.
func (s *machineStage) strike(ctx context.Context, f fault, victim box, address netip.Addr, keep time.Duration) (struck, mended time.Time, err error) {
	struck = time.Now()
	if err := f.strike(s, victim); err != nil {
		return struck, mended, err
	}
	first := s.fleets[0]
	if err := untilEach(ctx, 50*time.Millisecond, patience, func() error {
		last, err := first.lastTry(address, struck, time.Now())
		since, outErr := outSince(ctx, "machine/"+victim.name)
		if err = errors.Join(err, outErr); err == nil && (since.IsZero() || time.Since(since) < deadFor || first.known().Sub(later(last, struck)) < quietFor || time.Since(struck) < keep) {
			err = fmt.Errorf("%s is still used, %.1f s after it died", victim.name, time.Since(struck).Seconds())
		}
		return err
	}); err != nil {
		return struck, mended, errors.Join(err, f.mend(s, victim))
	}
	mended = time.Now()
	return struck, mended, f.mend(s, victim)
}

// back waits until the gateway's Envoys use a machine again.
func (s *machineStage) back(ctx context.Context, victim box, address netip.Addr, mended time.Time) (back time.Time, err error) {
	err = untilEach(ctx, 50*time.Millisecond, patience, func() (err error) {
		if back, err = s.fleets[0].firstTry(address, mended); err == nil && back.IsZero() {
			err = fmt.Errorf("%s is not used again, %.0f s after it is well", victim.name, time.Since(mended).Seconds())
		}
		return err
	})
	return back, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// add counts what came to a fleet while the machine was dead.
func (r *suffered) add(f *fleet, address netip.Addr, struck, mended time.Time) error {
	last, err := f.lastTry(address, struck, mended)
	last = later(last, struck)
	r.Last, r.Dead = append(r.Last, last.Sub(struck).Seconds()), append(r.Dead, mended.Sub(struck).Seconds())
	for _, a := range f.arrived(struck, mended) {
		r.Requests++
		if a.took > slowAfter {
			r.Slow++
		}
		if !a.ok {
			r.Failed++
			if a.at.After(last.Add(settled)) {
				r.After++
			}
		}
	}
	return err
}

// check says of each claim whether it holds.
func (s *machineStage) check(p profile, f fault, rows []*suffered) {
	what := f.name + ", " + p.name
	r := rows[0]
	if f.bounded {
		s.claim(middle(r.Last) <= p.within.Seconds(), "%s: the last request was sent to it within %.1f s (median): %s", what, p.within.Seconds(), each(r.Last))
	} else {
		s.say("     %s: the last request was sent to it after %s s", what, each(r.Last))
	}
	s.claim(r.After == 0, "%s: no request that came later failed (before, %d of %d did)", what, r.Failed, r.Requests)
	s.claim(slices.Min(r.Returned) >= machineClean.Seconds()-0.5, "%s: it returned when it had been well for %.0f s, not before: %s", what, machineClean.Seconds(), each(r.Returned))
	for _, other := range rows[1:] {
		s.claim(!other.stopped() || slices.Max(other.Last) > slices.Max(r.Last), "%s: %s goes on for longer: %s of %s", what, other.Fleet, each(other.Last), each(other.Dead))
	}
}

func each(all []float64) string {
	var text []string
	for _, v := range all {
		text = append(text, fmt.Sprintf("%.2f", v))
	}
	return strings.Join(text, " ")
}

// verdict shows the table, and writes it.
func (s *machineStage) verdict() error {
	text, err := json.MarshalIndent(s.found, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file("result.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Println()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FAULT\tPROBES\tENVOYS WITH\tLAST REQUEST SENT TO IT\tREQUESTS\tFAILED\tOVER 250 MS\tFAILED LATER")
	for _, r := range s.found {
		last := fmt.Sprintf("%.2f s (most %.2f)", middle(r.Last), slices.Max(r.Last))
		if !r.stopped() {
			last = fmt.Sprintf("never stopped in %.1f s", slices.Max(r.Dead))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d (%.0f %%)\t%d\n", r.Fault, r.Profile, r.Fleet, last, r.Requests, r.Failed, r.Slow, 100*float64(r.Slow)/float64(max(1, r.Requests)), r.After)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Println()
	return s.held()
}

func middle(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
