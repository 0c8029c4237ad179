package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	agreeWithin = 40 * time.Second // from the last request to equal counts
	stayEqual   = 7 * time.Second  // and they must stay equal over another flush of the gateway

	shownDifferences = 12
)

// A result is what result.json says of a scene.
type result struct {
	Name       string   `json:"name"`
	OK         bool     `json:"ok"`
	Requests   int      `json:"requests"` // sent, and TCP connections
	Series     int      `json:"series"`   // compared, of all metrics
	Flags      []string `json:"flags"`
	Mismatches int      `json:"mismatches"`
	Seconds    float64  `json:"seconds"`
	Error      string   `json:"error,omitempty"`

	Metrics map[string]comparison `json:"metrics"`
}

// A comparison is how many series of a metric were compared, and how many of these differed.
type comparison struct {
	Series     int `json:"series"`
	Mismatches int `json:"mismatches"`
}

// once runs a scene for each way to tell identity and writes result.json. It tells whether all agreed.
func once(ctx context.Context, o options) (bool, error) {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return false, err
	}
	ok := true
	var results struct {
		Scenes []result `json:"scenes"`
	}
	for _, s := range []struct {
		name     string
		identity identity
	}{{"telemetry", tagged}, {"telemetry-istio", istio}} {
		begin := time.Now()
		r := result{Name: s.name, Flags: []string{}}
		err := r.run(ctx, o, s.identity)
		r.Seconds = float64(time.Since(begin).Round(100*time.Millisecond).Milliseconds()) / 1000
		r.OK = err == nil && r.Mismatches == 0
		verdict := "ok"
		if err != nil {
			r.Error = err.Error()
		}
		if !r.OK {
			verdict = "FAILED " + r.Error
		}
		fmt.Printf("%s: %s (%d requests, %d series, %d mismatches, flags %v, %.1f s)\n", r.Name, verdict, r.Requests, r.Series, r.Mismatches, r.Flags, r.Seconds)
		ok = ok && r.OK
		results.Scenes = append(results.Scenes, r)
		if ctx.Err() != nil {
			break
		}
	}
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return false, err
	}
	return ok, os.WriteFile(filepath.Join(o.out, "result.json"), append(text, '\n'), 0o644)
}

// run is one scene. Everything that is served comes first, so that the gateway has met every workload before requests fail.
func (r *result) run(ctx context.Context, o options, id identity) (err error) {
	ctx, d, err := start(ctx, o, setting{name: r.Name, identity: id})
	defer func() { err = errors.Join(err, d.close()) }()
	if err != nil {
		return err
	}
	expected := newExpectation(id)
	for _, part := range []struct {
		name   string
		trials []trial
		stay   time.Duration
	}{{"served requests", servedTrials(), 0}, {"failing requests", failedTrials(), stayEqual}} {
		d.say("sending %s", part.name)
		if err := d.try(ctx, part.trials, expected); err != nil {
			return err
		}
		r.Requests, r.Flags = d.sent(), expected.flags()
		d.say("%d requests and connections sent, waiting for the gateway to say so", r.Requests)
		got, err := expected.settle(ctx, part.stay)
		if err != nil {
			return err
		}
		if r.compare(expected, got); r.Mismatches > 0 {
			return fmt.Errorf("%d series differ from what was sent", r.Mismatches)
		}
		d.say("all %d series agree", r.Series)
	}
	return nil
}

// compare counts the series and those that differ, and shows some of these.
func (r *result) compare(expected *expectation, got map[string]tally) {
	r.Series, r.Mismatches, r.Metrics = 0, 0, map[string]comparison{}
	for name, want := range expected.want {
		differences := want.differences(got[name])
		if len(differences) > 0 {
			fmt.Printf("   %s: %d of %d differ (%s)\n", name, len(differences), len(want), metrics()[name].labels)
		}
		for _, difference := range differences[:min(shownDifferences, len(differences))] {
			fmt.Println("     ", difference)
		}
		r.Metrics[name] = comparison{len(want), len(differences)}
		r.Series += len(want)
		r.Mismatches += len(differences)
	}
}

// try sends all trials by all callers, each caller another number of times (slow ones once), and adds them to expected.
func (d *demo) try(ctx context.Context, trials []trial, expected *expectation) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for i, c := range d.callers {
		times := func(t trial) int {
			if t.slow {
				return 1
			}
			return 1 + i
		}
		for _, t := range trials {
			for range times(t) {
				expected.add(c, t)
			}
		}
		wait.Go(func() {
			for _, t := range trials {
				for range times(t) {
					if err := t.send(ctx, c); err != nil {
						cancel(fmt.Errorf("trial %s from %s to %s: %w", t.name, c.from.name(), c.to.name(), err))
						return
					}
				}
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return d.ask(ctx, expected)
}

// ask adds what only the Envoys know: their own stats.
func (d *demo) ask(ctx context.Context, expected *expectation) error {
	before := expected.want[stats]
	now, err := d.stats(ctx)
	if err != nil {
		return err
	}
	expected.want[stats] = now
	for _, c := range d.callers {
		expected.addRefusals(c, now.refusals(c)-before.refusals(c))
	}
	for _, dc := range twoIDCs() {
		for _, p := range dc.proxies() {
			expected.want[coverage][seriesOf(p.nodeID())] = 1
		}
	}
	return nil
}

func (d *demo) sent() int {
	n := 0
	for _, c := range d.callers {
		n += c.sent
	}
	return n
}

// settle asks the gateway until it agrees and has agreed for as long as stay, or until its time is over, and returns what
// it said last.
func (e *expectation) settle(ctx context.Context, stay time.Duration) (map[string]tally, error) {
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	deadline, since := time.Now().Add(agreeWithin), time.Time{}
	for {
		got, err := queryAll(ctx)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		switch agrees := maps.EqualFunc(e.want, got, maps.Equal[tally, tally]); {
		case !agrees && now.After(deadline):
			return got, nil
		case !agrees:
			since = time.Time{}
		case since.IsZero():
			since = now
		}
		if !since.IsZero() && now.Sub(since) >= stay {
			return got, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
