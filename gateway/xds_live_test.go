package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	envoy := needsEnvoy(t)
	var requests [2]atomic.Int64
	var endpoints [2]string
	for i := range requests {
		app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests[i].Add(1) }))
		defer app.Close()
		endpoints[i] = strings.TrimPrefix(app.URL, "http://")
	}
	listen, serve, directory := freeAddress(t), freeAddress(t), t.TempDir()
	host, port, _ := strings.Cut(listen, ":")
	write := func(text string, args ...any) string { return writeFile(t, fmt.Sprintf(text, args...)) }
	cfg := map[string]any{
		"endpoint": serve,
		"sources": []any{map[string]any{"file": write("clusters: [{name: app, endpoints: [{address: %q, machine: a, idc: idc1}, {address: %q, machine: b, idc: idc1}]}]",
			endpoints[0], endpoints[1])}},
		"listeners": write(`resources: [{name: all, address: {socket_address: {address: %s, port_value: %s}}, filter_chains: [{filters: [{name: http, typed_config: {
  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: all,
  rds: {route_config_name: all, config_source: {resource_api_version: V3, ads: {}}},
  http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]}]`, host, port),
		"routes": write(`resources: [{name: all, virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: app}}]}]}]`),
	}
	evidence := func(gateway *deciding, ok bool) {
		gateway.Observe([]probes.Evidence{
			{Subject: "machine/a", IDC: "idc1", Probe: "ping", At: time.Now(), Next: time.Hour, OK: ok, Reason: "no answer"},
			{Subject: "machine/b", IDC: "idc1", Probe: "ping", At: time.Now(), Next: time.Hour, OK: true},
		})
	}
	gateway := startDeciding(t, cfg, directory)
	evidence(gateway, true)
	_, bootstrap, problems := call(t, "snippet", "envoy", "--xds", serve)
	require.Empty(t, problems)
	startCommand(t, exec.Command(envoy, "--base-id", "64", "--concurrency", "1", "-c", writeFile(t, bootstrap))).expect(t, "starting main dispatch loop")

	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	share := func(n int) float64 { // of the machine a, in n requests; -1: they do not all succeed
		was := requests[0].Load()
		for range n {
			r, err := client.Get("http://" + listen)
			if err != nil {
				return -1
			}
			_ = r.Body.Close()
			if r.StatusCode != http.StatusOK {
				return -1
			}
		}
		return float64(requests[0].Load()-was) / float64(n)
	}
	until := func(what string, want float64) {
		t.Helper()
		require.Eventually(t, func() bool { return share(20) == want }, patience, time.Millisecond, what)
	}
	until("both machines serve", 0.5)
	evidence(gateway, false)
	began := time.Now()
	until("the dead machine gets nothing", 0)
	t.Logf("from evidence until 20 requests in a row went elsewhere: %v", time.Since(began).Round(time.Millisecond))

	gateway.stop()
	require.Zero(t, share(100), "without a gateway")
	gateway = startDeciding(t, cfg, directory)
	for range 20 { // while Envoy connects again
		require.Zero(t, share(10), "with the next gateway")
	}
	evidence(gateway, true)
	evidence(gateway, true)
	until("the machine is back", 0.5)
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
