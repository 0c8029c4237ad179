package alerting

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
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
	return newPlan(f, a.external, a.plugins.Conn, a.slog)
}

// follow takes up a file that has changed, until ctx ends. Who is on call changes more often than a gateway should be stopped, and a
// file that comes from a ConfigMap changes with nobody there to send a signal.
func (a *alerting) follow(ctx context.Context, at *file) {
	if a.cfg.ConfigFile == "" {
		return
	}
	a.metrics.configured(true)
	seen := digest(a.cfg.ConfigFile, at.Templates)
	every(ctx, followInterval, func() {
		now := digest(a.cfg.ConfigFile, at.Templates)
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
		a.log.Warn("config_file has changed and is at work", zap.String("file", a.cfg.ConfigFile))
		a.deliver(p)
		at = p.file
		seen = digest(a.cfg.ConfigFile, at.Templates)
	})
}

// digest is what the file and its templates hold.
func digest(path string, globs []string) []byte {
	all, _ := os.ReadFile(path)
	for _, glob := range globs {
		names, _ := filepath.Glob(glob)
		for _, name := range names {
			text, _ := os.ReadFile(name)
			all = append(append(all, 0), text...)
		}
	}
	return all
}
