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

	shownDifferences = 40
)

// A result is what result.json says of a scene.
type result struct {
	Name       string   `json:"name"`
	OK         bool     `json:"ok"`
	Requests   int      `json:"requests"`
	Series     int      `json:"series"`
	Flags      []string `json:"flags"`
	Mismatches int      `json:"mismatches"`
	Seconds    float64  `json:"seconds"`
	Error      string   `json:"error,omitempty"`
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
	ctx, d, err := start(ctx, o, r.Name, id)
	defer func() { err = errors.Join(err, d.close()) }()
	if err != nil {
		return err
	}
	expected := tally{}
	for _, part := range []struct {
		name   string
		trials []trial
		stay   time.Duration
	}{{"served requests", servedTrials(), 0}, {"failing requests", failedTrials(), stayEqual}} {
		d.say("sending %s", part.name)
		if err := d.try(ctx, part.trials, expected); err != nil {
			return err
		}
		r.Requests = d.sent()
		d.say("%d requests sent, waiting for the gateway to say so", r.Requests)
		got, err := expected.settle(ctx, part.stay)
		if err != nil {
			return err
		}
		differences := expected.differences(got)
		r.Series, r.Flags, r.Mismatches = len(got), got.flags(), len(differences)
		if r.Mismatches > 0 {
			for _, difference := range differences[:min(shownDifferences, len(differences))] {
				fmt.Println("  ", difference)
			}
			return fmt.Errorf("%d series differ from what was sent", r.Mismatches)
		}
		d.say("all %d series agree", r.Series)
	}
	return nil
}

// try sends all trials by all callers, each caller another number of times, and adds them to expected.
func (d *demo) try(ctx context.Context, trials []trial, expected tally) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for i, c := range d.callers {
		times := 1 + i
		for _, t := range trials {
			for range times {
				expected.expect(c, t)
			}
		}
		wait.Go(func() {
			for _, t := range trials {
				for range times {
					if err := t.send(ctx, c); err != nil {
						cancel(fmt.Errorf("trial %s from %s to %s: %w", t.name, c.from.name(), c.to.name(), err))
						return
					}
				}
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
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
func (t tally) settle(ctx context.Context, stay time.Duration) (tally, error) {
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	deadline, since := time.Now().Add(agreeWithin), time.Time{}
	for {
		got, err := query(ctx)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		switch agrees := maps.Equal(t, got); {
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
