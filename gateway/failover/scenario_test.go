package failover

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Every scenario that the binary brings along plays as it is written down, and holds what it expects.
func TestScenarios(t *testing.T) {
	for _, name := range Scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := Scenario(name)
			require.NoError(t, err)
			var got bytes.Buffer
			err = RunScenario(context.Background(), bytes.NewReader(text), &got)
			golden := filepath.Join("testdata", "scenarios", name+".golden")
			if *update {
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
			}
			want, readErr := os.ReadFile(golden)
			require.NoError(t, readErr)
			require.NoError(t, err, got.String())
			require.Equal(t, string(want), got.String())
		})
	}
}

// SCENARIOS.md's example plays, and does as it says.
func TestScenariosPage(t *testing.T) {
	page, err := os.ReadFile("SCENARIOS.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	require.True(t, ok)
	example, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	var out bytes.Buffer
	require.NoError(t, RunScenario(context.Background(), strings.NewReader(example), &out), out.String())
}

// All mistakes are named at once, each with its place.
func TestBadScenarios(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		err := RunScenario(context.Background(), strings.NewReader(text), io.Discard)
		require.Error(t, err)
		for _, text := range want {
			require.ErrorContains(t, err, text)
		}
	}
	// nothing at all
	f("", "the scenario is empty")
	// keys and values that are none
	f("fro: 1s\nfor: soon", "field fro not found", "soon")
	f("for: 1m\nprobes: [{subject: idc/idc1/entry, loss: 120%}]", `"120%" is neither a ratio`)
	// no end, and too long
	f("about: x", "for: must be more than 0")
	f("for: 169h", "at most 168h")
	// subjects
	f("for: 1m\nprobes: [{subject: host/a}, {subject: 'machine/m{1-3}'}]", `probes[0]::subject: "host/a": must be like`, "a range is like m{1..10}")
	// more than can be played
	f("for: 168h\nprobes: [{subject: 'machine/m{1..9000}'}]", "at most 20000 and 20000000")
	// steps
	f("for: 1m\ntimeline: [{at: 2m}, {at: 1s, fail: [a], silent: [b]}, {at: 1s, clock: 1h, for: 3s}, {at: 1s, restart: maybe}]",
		"timeline[0] (at 2m0s): must be within", "exactly one of", "it is 2", "for, every, site, probe and reason belong to", `restart: "maybe"`)
	f("for: 1m\ntimeline: [{at: 1s, hold: {subject: machine/a, action: kill}}, {at: 1s, shift: {entry: {idc1: 50, idc2: 60}}}, {at: 1s, say: {health: ill}}]",
		`hold::action: "kill"`, "hold::for: a hold always ends", "shift::entry: the weights must sum to 100 percent; they sum to 110", `say::health: "ill"`)
	f("for: 1m\ntimeline: [{at: 1s, fail: ['[']}]", "syntax error in pattern")
	f("for: 1m\ntimeline: [{at: 1s, hold: {subject: '*', action: eject, for: 1s}}, {at: 1s, fail: [a], share: 50%}]",
		"all at once can only be restored", "callers, share and flag belong to break")
	// traffic
	f("for: 1m\ntraffic: [{cluster: a, endpoints: [machine/a, 'endpoint/{1-3}'], callers: [a], rate: 1}, {endpoints: [endpoint/a], rate: 1001}]\nmachines: {a: []}",
		`traffic[0]: endpoints: "machine/a": must be like endpoint/ADDRESS`, "a range is like", "traffic[1]: must have 1 to 1000 endpoints and 1 to 32 callers: it has 1 and 0",
		"traffic[1]: cluster: missing", "traffic[1]: rate: must be from 1 to 1000", "machines::a: must be like machine/NAME")
	f("for: 168h\ntraffic: [{cluster: a, endpoints: [endpoint/a], callers: [a], rate: 1000}]", "at most 20000 and 20000000")
	// rules
	f("for: 1m\nrules: {profile: slow}", `rules::profile: "slow"`)
	f("for: 1m\nrules: {observe: [hosts], idcs: {a: {weight: 50, capacity_percent: 100}, b: {weight: 60, capacity_percent: 100}}}", `rules::observe: "hosts"`)
	f("for: 1m\nrules: {idcs: {a: {weight: 50, capacity_percent: 0}, b: {weight: 60, capacity_percent: 100}}}", "capacity_percent: must be more than 0", "they sum to 110")
	// what does not come about
	f("for: 1m\nprobes: [{subject: idc/idc1/entry}]\ntimeline: [{at: 30s, expect: {entry: {idc1: 40}, out: [machine/a], degraded: true}}]",
		"at 30s: entry of idc1 must be 40 %, is 50 %; out must be [machine/a], is []; degraded must be true, is false")
}

// A drill that is broken off ends.
func TestScenarioEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	text, err := Scenario("day-of-loss")
	require.NoError(t, err)
	require.ErrorIs(t, RunScenario(ctx, bytes.NewReader(text), io.Discard), context.Canceled)
	_, err = Scenario("none")
	require.ErrorContains(t, err, "idc-dies")
}

// No text makes the reader or a short drill panic, or serve weights that do not sum.
func FuzzScenario(f *testing.F) {
	for _, name := range Scenarios() {
		text, err := Scenario(name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseScenario(bytes.NewReader(text))
		if err != nil {
			return
		}
		s.For = min(s.For, span(20*time.Second))
		s.Probes, s.Traffic = s.Probes[:min(len(s.Probes), 8)], s.Traffic[:min(len(s.Traffic), 1)]
		p := newDrill(s, io.Discard)
		p.probes, p.queue = p.probes[:min(len(p.probes), 50)], p.queue[:min(len(p.queue), 100)]
		p.check = func(_ Input, d Decision) {
			var entry, mesh uint32
			for _, idc := range d.Serving.IDCs {
				entry, mesh = entry+idc.Entry, mesh+idc.Mesh
			}
			if entry != mesh || entry != xds.Whole && len(d.Serving.IDCs) > 0 {
				t.Fatalf("weights: %v", d.Serving.IDCs)
			}
		}
		if err := p.run(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
