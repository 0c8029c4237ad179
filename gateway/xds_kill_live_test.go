package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A gateway that is killed changes nothing in Envoy. The next one takes out the same, provisionally until it is seen dead again; one that has no state takes
// out nothing.
func TestGatewayDiesAndEnvoyKeepsWhatItHas(t *testing.T) {
	binary, f := needsEnvoy(t), newFleet(t)
	g := &failoverGateway{console: freeAddress(t), data: t.TempDir()}
	agents := [2]*site{openSite(t, 1), openSite(t, 2)}
	text, err := json.Marshal(map[string]any{
		"receivers": map[string]any{"probes": map[string]any{
			"modules": map[string]any{"agent": map[string]any{"prober": "tcp", "timeout": "2s"}},
			"targets": []any{
				map[string]any{"module": "agent", "target": agents[0].address, "subject": "machine/a", "idc": "idc1", "interval": "250ms"},
				map[string]any{"module": "agent", "target": agents[1].address, "subject": "machine/b", "idc": "idc1", "interval": "250ms"},
			},
		}},
		"extensions": map[string]any{
			"failover": map[string]any{
				"mode": "act", "profile": "fast", "thresholds": map[string]any{"machine": map[string]any{"healthy": 3}},
				"idcs": map[string]any{"idc1": map[string]any{"weight": 100}}, "data_directory": filepath.Join(g.data, "failover"),
			},
			"xds":     f.config(t),
			"console": map[string]any{"endpoint": g.console, "tokens": []any{map[string]any{"name": "oncall", "role": "operator", "token": operatorToken}}},
		},
		"service": map[string]any{"extensions": []any{"failover", "xds", "console"}},
	})
	require.NoError(t, err)
	g.file = writeFile(t, string(text))
	const blind = "yaml:receivers::probes::targets: []" // so that nothing changes what was loaded
	still := func(when string) {
		t.Helper()
		for range 20 { // while Envoy connects again
			require.Zero(t, f.share(10), when)
		}
	}

	p := g.start(t)
	f.envoy(t, binary)
	f.until(t, "both machines serve", 0.5)
	agents[0].die()
	f.until(t, "the dead machine gets nothing", 0)
	wait(t, "that is on disk", func() bool {
		state, _ := os.ReadFile(filepath.Join(g.data, "failover", "state.json"))
		return bytes.Contains(state, []byte(`"out":{"machine/a":`))
	})
	p.signal(t, syscall.SIGKILL)
	p.exit(t)
	still("without a gateway")

	p = g.start(t)
	wait(t, "it is confirmed", func() bool {
		s := g.state(t)
		a := s.subject("machine/a")
		return a.Health == "dead" && a.Out && !a.Provisional
	})
	still("with the next gateway")
	p.signal(t, syscall.SIGKILL)
	p.exit(t)
	agents[0].live(t)
	still("without a gateway, though it lives again")

	p = g.start(t, "--config", blind)
	still("with a gateway that observes nothing")
	state := g.state(t)
	require.Len(t, state.Serving.Out, 1)
	require.True(t, state.subject("machine/a").Provisional, "%+v", state.subject("machine/a"))
	g.does(t, "failover", "restore", "--all", "--for", "1h") // needs nobody's consent
	f.until(t, "the machine is back by hand", 0.5)
	g.does(t, "failover", "eject", "endpoint/"+f.endpoints[0], "--for", "1h") // nobody has observed it
	f.until(t, "an endpoint is out by hand", 0)
	require.Contains(t, g.does(t, "failover", "events", "--kind", "diagnosis"), "(1 endpoint of 1 cluster)")
	p.signal(t, syscall.SIGKILL)
	p.exit(t)

	require.NoError(t, os.RemoveAll(filepath.Join(g.data, "failover")))
	g.start(t, "--config", blind)
	require.Empty(t, g.state(t).Serving.Out)
	f.until(t, "a cold start takes out nothing", 0.5)
}
