package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	outage      = 2 * time.Minute
	backWithin  = 4 * time.Minute // until all is told to be well after the storage may live again
	storageName = "victoriametrics"

	// Alerts of the gateway and of the alerting plugin themselves.
	pluginDown   = "PluginDown"
	notEvaluated = "LockkeeperRulesNotEvaluated"
)

// outageScene runs the scene "outage": the storage is killed again and again for two minutes while an alert fires. The gateway
// tells that the storage is down, the rules tell once that they are not evaluated, and what fired goes on.
func outageScene(ctx context.Context, o options) error {
	fires := incidents()[1:2]
	return suffering(ctx, o, "outage", fires, func(ctx context.Context, d *demo, b *inbox, _ func()) error {
		kills, err := d.killStorage(ctx)
		if err != nil {
			return err
		}
		d.say("the storage was killed %d times in %v", kills, outage)
		for _, check := range []struct {
			groups []string
			want   func([]message) error
			what   string
		}{
			{[]string{pluginDown}, firing, "told that a plugin is down"},
			{[]string{notEvaluated}, firing, "told once that the rules are not evaluated"},
			{groups(fires), toldOnce, "told nothing else of what fired before"},
		} {
			if err := b.each(check.groups, check.want); err != nil {
				return err
			}
			d.say("meanwhile everybody was %s", check.what)
		}
		begin := time.Now()
		if err := until(ctx, backWithin, func() error { return b.each([]string{pluginDown, notEvaluated}, over) }); err != nil {
			return err
		}
		d.say("both are over, and told to be, %.0f s after the last kill", time.Since(begin).Seconds())
		if err := b.each([]string{notEvaluated}, toldAndOver); err != nil {
			return err
		}
		return b.each(groups(fires), toldOnce)
	})
}

// firing wants to have been told at the begin, and not yet of the end.
func firing(got []message) error {
	if got[0].firing == 0 || got[len(got)-1].firing == 0 {
		return fmt.Errorf("got %v, expected to be told that it fires", got)
	}
	return nil
}

// toldAndOver wants one notification of the begin and one of the end.
func toldAndOver(got []message) error {
	if len(got) != 2 || got[0].firing == 0 || got[1].firing > 0 {
		return fmt.Errorf("got %v, expected to be told once, and once that it is over", got)
	}
	return nil
}

// killStorage kills the storage plugin for as long as the outage is, as soon as it runs each time.
func (d *demo) killStorage(ctx context.Context) (kills int, err error) {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	last := 0
	for deadline := time.Now().Add(outage); time.Now().Before(deadline); {
		pid, err := pluginProcess(ctx, storageName)
		if err != nil {
			return kills, err
		}
		if pid > 0 && pid != last {
			process, err := os.FindProcess(pid)
			if err == nil && process.Kill() == nil {
				kills++
				last = pid
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return kills, context.Cause(ctx)
		}
	}
	return kills, nil
}

// pluginProcess is the process of a plugin; 0: there is none just now.
func pluginProcess(ctx context.Context, name string) (int, error) {
	var list struct {
		Plugins []struct {
			Name string
			PID  int
		}
	}
	if err := readJSON(ctx, consoleURL+"/api/v1/plugins", &list); err != nil {
		return 0, err
	}
	for _, p := range list.Plugins {
		if p.Name == name {
			return p.PID, nil
		}
	}
	return 0, fmt.Errorf("there is no plugin %s", name)
}
