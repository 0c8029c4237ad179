package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// known are the extensions that there are.
type known map[component.ID]component.Component

func (k known) GetExtensions() map[component.ID]component.Component { return k }

// A machine dies by its probes, and a real Envoy that was started with what `snippet envoy --xds` prints sends nothing more to it; it comes back with the
// verdict. A gateway that ends changes nothing, and the next one takes out the same.
func TestMachineDiesAndEnvoyStopsUsingIt(t *testing.T) {
	binary, f, directory := needsEnvoy(t), newFleet(t), t.TempDir()
	cfg := f.config(t)
	evidence := func(gateway *deciding, ok bool) {
		gateway.Observe([]probes.Evidence{
			{Subject: "machine/a", IDC: "idc1", Probe: "ping", At: time.Now(), Next: time.Hour, OK: ok, Reason: "no answer"},
			{Subject: "machine/b", IDC: "idc1", Probe: "ping", At: time.Now(), Next: time.Hour, OK: true},
		})
	}
	gateway := startDeciding(t, cfg, directory)
	evidence(gateway, true)
	f.envoy(t, binary)
	f.until(t, "both machines serve", 0.5)
	evidence(gateway, false)
	began := time.Now()
	f.until(t, "the dead machine gets nothing", 0)
	t.Logf("from evidence until 20 requests in a row went elsewhere: %v", time.Since(began).Round(time.Millisecond))

	gateway.stop()
	require.Zero(t, f.share(100), "without a gateway")
	gateway = startDeciding(t, cfg, directory)
	for range 20 { // while Envoy connects again
		require.Zero(t, f.share(10), "with the next gateway")
	}
	evidence(gateway, true)
	evidence(gateway, true)
	f.until(t, "the machine is back", 0.5)
}

// deciding is a gateway's extensions failover and xds.
type deciding struct {
	Observe func([]probes.Evidence)
	stop    func()
}

func startDeciding(t *testing.T, of map[string]any, directory string) *deciding {
	t.Helper()
	decides := failover.NewFactory()
	rules := decides.CreateDefaultConfig().(*failover.Config)
	rules.Mode, rules.DataDirectory = "act", filepath.Join(directory, "failover")
	rules.IDCs = map[string]failover.IDCConfig{"idc1": {Weight: 100}}
	rules.Thresholds = map[string]failover.Threshold{"machine": {Unhealthy: 1, Healthy: 1}}
	first, err := decides.Create(t.Context(), extensiontest.NewNopSettings(decides.Type()), rules)
	require.NoError(t, err)
	serves := xds.NewFactory()
	cfg := serves.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(of).Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	second, err := serves.Create(t.Context(), extensiontest.NewNopSettings(serves.Type()), cfg)
	require.NoError(t, err)
	all := known{component.MustNewID("failover"): first, component.MustNewID("xds"): second}
	require.NoError(t, second.Start(t.Context(), all)) // in whichever order they are started
	require.NoError(t, first.Start(t.Context(), all))
	var stopped bool
	d := &deciding{Observe: first.(interface{ Observe([]probes.Evidence) }).Observe}
	d.stop = func() {
		if !stopped {
			stopped = true
			require.NoError(t, second.Shutdown(context.Background()))
			require.NoError(t, first.Shutdown(context.Background()))
		}
	}
	t.Cleanup(d.stop)
	return d
}
