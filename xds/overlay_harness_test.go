package xds

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"go.yaml.in/yaml/v3"
)

func loadConfig(t *testing.T, text string) (*Config, error) {
	t.Helper()
	var raw map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &raw))
	cfg := createDefaultConfig()
	if err := confmap.NewFromStringMap(raw).Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

// fleet is an extension that serves.
type fleet struct {
	*xds
	decider   *decider
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
	directory string
}

// startFleet starts the extension with files by name (endpoints.yaml, listeners.yaml, routes.yaml) until the end of the test. Nothing is decided yet.
func startFleet(t *testing.T, files map[string]string) *fleet {
	t.Helper()
	f := &fleet{decider: &decider{}, telemetry: componenttest.NewTelemetry(), directory: t.TempDir()}
	cfg := createDefaultConfig()
	cfg.NetAddr.Endpoint = "127.0.0.1:0"
	for name, text := range files {
		file := f.write(t, name, text)
		switch name {
		case "listeners.yaml":
			cfg.Listeners = file
		case "routes.yaml":
			cfg.Routes = file
		default:
			cfg.Sources = append(cfg.Sources, SourceConfig{File: file})
		}
	}
	set := f.telemetry.NewTelemetrySettings()
	var core zapcore.Core
	core, f.logs = observer.New(zap.InfoLevel)
	set.Logger = zap.New(core)
	f.xds = newXDS(cfg, set)
	require.NoError(t, f.Start(t.Context(), extensions{component.MustNewID("failover"): f.decider}))
	t.Cleanup(func() {
		require.NoError(t, f.Shutdown(context.Background()))
		require.NoError(t, f.telemetry.Shutdown(context.Background()))
	})
	return f
}

// write replaces a file as a whole.
func (f *fleet) write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(f.directory, name)
	require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
	return file
}

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// decider is who decides what is served.
type decider struct {
	component.StartFunc
	component.ShutdownFunc
	mu    sync.Mutex
	now   *Serving
	apply func(*Serving)
	told  map[string][]string
}

func (d *decider) Place(clusters, _ map[string][]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = clusters
}

func (d *decider) WatchServing(apply func(*Serving)) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apply = apply
	apply(d.now)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.apply = func(*Serving) {}
	}
}

func (d *decider) decide(s Serving) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = &s
	d.apply(d.now)
}

func dead(subjects ...string) map[string]Out { return outs(false, subjects) }
func gray(subjects ...string) map[string]Out { return outs(true, subjects) }

func outs(drain bool, subjects []string) map[string]Out {
	out := map[string]Out{}
	for _, subject := range subjects {
		out[subject] = Out{Drain: drain}
	}
	return out
}

// shares are the same weights at the entry and in the mesh.
func shares(idc1, idc2 uint32) map[string]IDC {
	return map[string]IDC{"idc1": {Entry: idc1, Mesh: idc1}, "idc2": {Entry: idc2, Mesh: idc2}}
}
