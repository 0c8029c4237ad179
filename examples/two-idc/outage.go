package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	outage     = 2 * time.Minute
	backWithin = 4 * time.Minute // until all is told to be well after the storage may live again

	storageName   = "victoriametrics"
	storageBinary = "storage-" + storageName

	// Alerts of the gateway and of the alerting plugin themselves.
	pluginDown   = "PluginDown"
	notEvaluated = "LockkeeperRulesNotEvaluated"
)

// outageScene runs the scene "outage": the storage is dead for two minutes while an alert fires. The gateway tells that the
// storage is down, the rules tell once that they are not evaluated, and what fired goes on.
func outageScene(ctx context.Context, o options) error {
	fires := incidents()[1:2]
	return suffering(ctx, o, "outage", fires, func(ctx context.Context, d *demo, b *inbox, _ func()) error {
		if err := d.stopStorage(ctx); err != nil {
			return err
		}
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
		d.say("both are over, and told to be, %.0f s after the storage may live again", time.Since(begin).Seconds())
		return errors.Join(b.each([]string{notEvaluated}, toldAndOver), b.each(groups(fires), toldOnce))
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

// stopStorage takes the storage plugin's binary away and kills it, and gives the binary back after the outage.
func (d *demo) stopStorage(ctx context.Context) error {
	link := filepath.Join(d.file("plugins"), storageBinary)
	binary, err := os.Readlink(link)
	if err != nil {
		return err
	}
	if err := os.Remove(link); err != nil {
		return err
	}
	if err := killPlugin(ctx, storageName); err != nil {
		return fmt.Errorf("kill the plugin %s: %w", storageName, err)
	}
	d.say("the storage was killed, and stays dead for %v", outage)
	select {
	case <-time.After(outage):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return os.Symlink(binary, link)
}

func killPlugin(ctx context.Context, name string) error {
	var list struct {
		Plugins []struct {
			Name string
			PID  int
		}
	}
	if err := readJSON(ctx, consoleURL+"/api/v1/plugins", &list); err != nil {
		return err
	}
	for _, p := range list.Plugins {
		if p.Name == name && p.PID > 0 {
			process, err := os.FindProcess(p.PID)
			if err != nil {
				return err
			}
			return process.Kill()
		}
	}
	return errors.New("it does not run")
}
