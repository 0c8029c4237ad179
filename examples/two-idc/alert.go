package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	//go:embed alert/lockkeeper.yaml
	alertConfig []byte
	//go:embed alert/alertmanager.yml
	alertmanagerConfig []byte
)

const (
	firesWithin = 30 * time.Second // after the rule's `for`, from the first request that fails
	groupWait   = 20 * time.Second // as in alert/alertmanager.yml
	overWithin  = 4 * time.Minute  // from the last request that fails: 2 minutes are what the rules look at

	beat = 1500 * time.Millisecond // between requests of a caller
)

// An incident is a flag that is provoked until the alert fires that the shipped rules have for it.
type incident struct {
	flag, trial, alert string
	hold               time.Duration // `for`
	every              int           // that many requests of a caller one fails
}

// incidents fail a little more often than the rules' floors, so that they are soon over. An edge has two callers: one for
// each version.
func incidents() []incident {
	return []incident{
		{"NR", "NR", "NoRouteFound", 2 * time.Minute, 4},
		{"UH", "UH", "NoHealthyUpstream", time.Minute, 8},
		{"UC", "UC by source", "UpstreamConnectionTermination", 2 * time.Minute, 8},
		{"DC", "DC", "DownstreamConnectionTermination", 2 * time.Minute, 4},
	}
}

// An alert is one that the gateway knows, by its API.
type alert struct{ Labels map[string]string }

// alertScene runs the scene "alert": flags are provoked until their alerts fire, and everybody must be told, once when they do
// and once when they are over.
func alertScene(ctx context.Context, o options) error {
	return suffering(ctx, o, "alert", incidents(), func(ctx context.Context, d *demo, b *inbox, mend func()) error {
		mend()
		begin := time.Now()
		d.say("the traffic is mended")
		if err := until(ctx, overWithin, func() error { return b.each(groups(incidents()), over) }); err != nil {
			return err
		}
		d.say("all is over, and told to be, after %.0f s", time.Since(begin).Seconds())
		return nil
	})
}

// suffering runs a demo in which incidents are provoked and told. What comes then is the scene's own; mend ends the incidents.
func suffering(ctx context.Context, o options, name string, all []incident, then func(ctx context.Context, d *demo, b *inbox, mend func()) error) (err error) {
	b, err := openInbox()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	ctx, d, err := startAlerting(ctx, o, name, b)
	defer func() { err = errors.Join(err, d.close()) }()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	failing, mend := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel(nil)
	defer mend()
	begin := time.Now()
	for _, c := range d.callers {
		wait.Go(func() {
			if err := c.suffer(ctx, failing, all); err != nil {
				cancel(err)
			}
		})
	}
	if err := d.fire(ctx, all, begin); err != nil {
		return err
	}
	if err := until(ctx, groupWait+firesWithin, func() error { return b.each(groups(all), toldOnce) }); err != nil {
		return err
	}
	d.say("each of %d groups was told once to %s, %.0f s after the first request", len(groups(all)), strings.Join(channels(), ", "), time.Since(begin).Seconds())
	if err := then(ctx, d, b, mend); err != nil {
		return err
	}
	d.say("ok; all groups that were told: %s", strings.Join(b.groups(), ", "))
	return nil
}

// toldOnce wants one notification, of both callers of a data centre.
func toldOnce(got []message) error {
	if len(got) != 1 || got[0].firing != 2 {
		return fmt.Errorf("got %v, expected one notification of two alerts", got)
	}
	return nil
}

// over wants the last notification to say that all is over. Others may say before that a part of the group is.
func over(got []message) error {
	if got[len(got)-1].firing > 0 {
		return fmt.Errorf("got %v, expected to be told that it is over", got)
	}
	return nil
}

// startAlerting starts a demo whose gateway evaluates the shipped rules and tells the inbox. Close it even after an error.
func startAlerting(ctx context.Context, o options, name string, b *inbox) (context.Context, *demo, error) {
	return start(ctx, o, alerting(o, name, b))
}

func alerting(o options, name string, b *inbox) setting {
	directory := filepath.Join(o.out, name)
	return setting{
		name: name, identity: tagged,
		prepare: func(directory string) error { return prepareAlerting(directory, o.gateway) },
		args:    []string{"--config", filepath.Join(directory, "lockkeeper.yaml")},
		env: []string{
			"DEMO_DIRECTORY=" + directory, "DEMO_RULES=" + o.rules, "DEMO_SECRET=" + inboxSecret,
			"DEMO_WEB=" + b.web.Addr().String(), "DEMO_MAIL=" + b.mail.Addr().String(),
		},
	}
}

// prepareAlerting writes the configurations, and makes a directory of plugins from which one can be taken away.
func prepareAlerting(directory, gateway string) error {
	plugins := filepath.Join(directory, "plugins")
	err := errors.Join(
		os.WriteFile(filepath.Join(directory, "lockkeeper.yaml"), alertConfig, 0o644),
		os.WriteFile(filepath.Join(directory, "alertmanager.yml"), alertmanagerConfig, 0o644),
		os.Mkdir(plugins, 0o755),
	)
	if err != nil {
		return err
	}
	shipped := filepath.Join(filepath.Dir(gateway), "plugins")
	binaries, err := os.ReadDir(shipped)
	if err != nil {
		return err
	}
	for _, b := range binaries {
		if err := os.Symlink(filepath.Join(shipped, b.Name()), filepath.Join(plugins, b.Name())); err != nil {
			return err
		}
	}
	return nil
}

// suffer sends plain requests until ctx ends, and between them those of the incidents until failing does.
func (c *caller) suffer(ctx, failing context.Context, incidents []incident) error {
	senders := map[string]sender{}
	for _, t := range failedTrials() {
		senders[t.name] = t.send
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for n := 0; ; n++ {
		all := []sender{get("/app/status/200", 200)}
		for _, i := range incidents {
			if failing.Err() == nil && n%i.every == 0 {
				all = append(all, senders[i.trial])
			}
		}
		for _, send := range all {
			if err := send(ctx, c); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("from %s to %s: %w", c.from.name(), c.to.name(), err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// fire waits until each incident's alert fires for every caller in both data centres, and no other flag's does.
func (d *demo) fire(ctx context.Context, incidents []incident, begin time.Time) error {
	edges := 0
	for _, dc := range twoIDCs() {
		edges += len(dc.callers)
	}
	fired := map[string]map[string]time.Duration{} // by alert and edge: when it was seen first
	for _, i := range incidents {
		fired[i.alert] = map[string]time.Duration{}
	}
	var late []error
	err := until(ctx, longest(incidents)+2*firesWithin, func() error {
		all, err := alerts(ctx)
		if err != nil {
			return err
		}
		for _, a := range all {
			edge := a.Labels["idc"] + " " + a.Labels["source_workload"]
			switch on := fired[a.Labels["alertname"]]; {
			case a.Labels["flag"] == "":
			case on == nil:
				return final(fmt.Errorf("%s fires on %s, which nobody provoked", a.Labels["alertname"], edge))
			case on[edge] == 0:
				on[edge] = time.Since(begin)
			}
		}
		for _, i := range incidents {
			if on := fired[i.alert]; len(on) < edges {
				return fmt.Errorf("%s fires on %d of %d edges: %v", i.alert, len(on), edges, on)
			}
		}
		return nil
	})
	for _, i := range incidents {
		if on := slices.Sorted(maps.Values(fired[i.alert])); len(on) > 0 {
			first, last := on[0], on[len(on)-1]
			d.say("%s: %s fires on %d edges %.0f to %.0f s after the first request (for: %.0f s)", i.flag, i.alert, len(on), first.Seconds(), last.Seconds(), i.hold.Seconds())
			if last > i.hold+firesWithin {
				late = append(late, fmt.Errorf("%s fired too late: expected within %v + %v", i.alert, i.hold, firesWithin))
			}
		}
	}
	return errors.Join(append(late, err)...)
}

func longest(all []incident) time.Duration {
	return slices.MaxFunc(all, func(a, b incident) int { return cmp.Compare(a.hold, b.hold) }).hold
}

// groups are those that alert/alertmanager.yml puts the incidents' alerts in.
func groups(incidents []incident) []string {
	var all []string
	for _, i := range incidents {
		for _, dc := range twoIDCs() {
			all = append(all, groupName(i.alert, dc.name))
		}
	}
	return all
}

// alerts are those that the gateway knows to fire.
func alerts(ctx context.Context) ([]alert, error) {
	var all []alert
	err := readJSON(ctx, consoleURL+"/alertmanager/api/v2/alerts?"+url.Values{"active": {"true"}}.Encode(), &all)
	return all, err
}

// final marks an error after which until does not try again.
func final(err error) error { return &finalError{err} }

type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// until calls f each half second until it returns no error, and gives up with its last one.
func until(ctx context.Context, within time.Duration, f func() error) error {
	return untilEach(ctx, 500*time.Millisecond, within, f)
}

func untilEach(ctx context.Context, each, within time.Duration, f func() error) error {
	again := time.NewTicker(each)
	defer again.Stop()
	deadline := time.Now().Add(within)
	for {
		err := f()
		var last *finalError
		if err == nil || errors.As(err, &last) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %w", within, err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
