package alerting

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"go.uber.org/zap"
)

// followInterval is how often config_file is looked at.
const followInterval = 5 * time.Second

// plan reads the configuration and makes it ready.
func (a *alerting) plan() (*plan, error) {
	there := a.plugins.Plugins("notification")
	if a.cfg.ConfigFile == "" {
		f, err := defaultFile(there)
		if err != nil {
			return nil, err
		}
		return newPlan(f, a.external, a.plugins.Conn, a.slog)
	}
	f, err := readFile(a.cfg.ConfigFile)
	if err != nil {
		return nil, err
	}
	if err := f.checkPlugins(there); err != nil {
		return nil, err
	}
	if f.TracingConfig.Endpoint != "" || !reflect.ValueOf(f.EventRecorder).IsZero() {
		a.log.Warn("tracing and event_recorder in config_file do nothing here", zap.String("file", f.name))
	}
	return newPlan(f, a.external, a.plugins.Conn, a.slog)
}

// follow takes up a file that has changed, until ctx ends. Who is on call changes more often than a gateway should be stopped, and a
// file that comes from a ConfigMap changes with nobody there to send a signal.
func (a *alerting) follow(ctx context.Context) {
	if a.cfg.ConfigFile == "" {
		return
	}
	a.metrics.configured(true)
	seen := a.at.Load().plan.content
	every(ctx, a.lookEvery, func() {
		text, _ := os.ReadFile(a.cfg.ConfigFile)
		now := content(text, a.at.Load().plan.file.Templates)
		if bytes.Equal(now, seen) {
			return
		}
		seen = now
		p, err := a.plan()
		a.metrics.configured(err == nil)
		if err != nil {
			a.log.Error("config_file has changed and has mistakes: the last good one stays at work", zap.Error(err))
			return
		}
		a.deliver(p)
		seen = p.content
		a.log.Warn("config_file has changed and is at work", zap.String("file", a.cfg.ConfigFile))
	})
}

// content is all that a file says, with what its templates say.
func content(text []byte, globs []string) []byte {
	all := slices.Clone(text)
	for _, glob := range globs {
		names, _ := filepath.Glob(glob)
		for _, name := range names {
			template, _ := os.ReadFile(name)
			all = append(append(all, 0), template...)
		}
	}
	return all
}
