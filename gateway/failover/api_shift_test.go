package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/lockkeeper/lockkeeper/probes"
)

// enter is a second of what the mesh saw enter the IDCs.
func (g *gateway) enter(requests, failures map[string]uint64) {
	var evidence []probes.Evidence
	for idc, n := range requests {
		evidence = append(evidence, probes.Evidence{
			Subject: "idc/" + idc + "/entry", IDC: idc, At: time.Now(), Next: 3 * time.Second,
			Traffic: &probes.Traffic{Over: time.Second, Requests: n, Failures: failures[idc]},
		})
	}
	g.Observe(evidence)
}

func TestShift(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		const path = "/api/v1/failover/shift"
		g.see(10, entry1, entry2)
		var dry struct{ Plan Plan }
		g.get(t, "POST", path+"?dry_run=1", `{"to":{"idc2":1},"for":"30m"}`, &dry)
		require.Equal(t, uint32(100), dry.Plan.Steps[0].Weights["idc2"])
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		require.Equal(t, int64(0), g.metric(t, "lockkeeper_shift_active"))
		var done changed
		g.get(t, "POST", path, `{"to":{"idc2":1},"for":"30m","why":"canary"}`, &done)
		require.True(t, done.Saved)
		require.Equal(t, map[string]uint32{"idc1": 9900, "idc2": 100}, g.entry())
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_shift_active"))
		require.Equal(t, int64(100), g.metric(t, "lockkeeper_failover_weight_asked", attribute.String("idc", "idc2")))
		require.Equal(t, 409, g.ask("POST", path, `{"to":{"idc2":2},"for":"30m"}`).Code)
		require.Equal(t, 400, g.ask("POST", path, `{"to":{"idc3":2}}`).Code)
		require.Equal(t, 400, g.ask("POST", path+"?dry_run=maybe", `{}`).Code)
		for range 30 {
			g.enter(map[string]uint64{"idc1": 99, "idc2": 1}, nil)
			g.see(1, entry1, entry2)
		}
		var status struct {
			Plan   Plan
			Active bool
			Entry  []Measured
		}
		g.get(t, "GET", path, "", &status)
		require.True(t, status.Active)
		require.Equal(t, "oncall", status.Plan.By)
		require.InDelta(t, 1, *status.Entry[1].Measured, 0.01)
		require.InDelta(t, 1, status.Entry[1].Asked, 0.01)
		// It goes on over a restart, and ends by itself.
		g.stop()
		g = launch(t, acting(directory))
		defer g.stop()
		require.Equal(t, map[string]uint32{"idc1": 9900, "idc2": 100}, g.entry())
		g.see(30*60, entry1, entry2)
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		require.NotContains(t, g.alertNames(), "ShiftAborted")
		require.Equal(t, 404, g.ask("DELETE", path, "").Code)
	})
}

// Who would give traffic to what is dead hears of it, and a dry run is no change.
func TestShiftToADeadIDC(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		const path = "/api/v1/failover/shift"
		g.see(10, entry1, entry2)
		g.see(10, entry1, "!"+entry2)
		version := g.loop.decision.Serving.Version
		f := func(query, request, want string) {
			t.Helper()
			var told struct{ Warnings []string }
			g.get(t, "POST", path+query, request, &told)
			if want == "" {
				require.Empty(t, told.Warnings)
				return
			}
			require.Len(t, told.Warnings, 1)
			require.Regexp(t, "^idc/idc2/entry is dead since .*: "+want+"$", told.Warnings[0])
		}
		const nothing, ends = "it gets nothing before it is healthy again", "the shift ends as soon as it gives it traffic"
		f("?dry_run=1", `{"to":{"idc2":60},"for":"30m"}`, nothing)
		f("?dry_run=1", `{"to":{"idc2":60},"steps":[{"percent":55,"for":"1m"}],"for":"30m"}`, ends)
		f("?dry_run=1", `{"to":{"idc2":60},"for":"30m","abort_if":{"error_ratio":0.05}}`, ends)
		f("?dry_run=1", `{"to":{"idc2":60},"for":"30m","abort_if":{"error_ratio":0.05},"hard":true}`, nothing)
		f("?dry_run=1", `{"to":{"idc1":60},"for":"30m"}`, "")
		require.Equal(t, version, g.loop.decision.Serving.Version)
		f("", `{"to":{"idc2":60},"for":"30m"}`, nothing)
	})
}

// A ramp that hurts is taken back at once, and somebody is told; one that a person ends is not told of.
func TestShiftAborts(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		const path = "/api/v1/failover/shift"
		const ramp = `{"to":{"idc2":90},"steps":[{"percent":60,"for":"1m"},{"percent":75,"for":"1m"}],"for":"1h","abort_if":{"error_ratio":0.05,"min_requests":100}}`
		g.see(10, entry1, entry2)
		g.get(t, "POST", path, ramp, &changed{})
		require.Equal(t, uint32(6000), g.entry()["idc2"])
		for i := 0; g.entry()["idc2"] != 5000; i++ {
			require.Less(t, i, 20)
			g.enter(map[string]uint64{"idc1": 40, "idc2": 60}, map[string]uint64{"idc2": 10})
			g.see(1, entry1, entry2)
		}
		require.Equal(t, []string{"ShiftAborted"}, g.alertNames())
		require.Contains(t, g.Alerts()[0].Annotations["description"], "Entry weights are now idc1 50 %, idc2 50 %")
		g.get(t, "POST", path, ramp, &changed{})
		require.Empty(t, g.Alerts())
		var done changed
		g.get(t, "DELETE", path+"?why=enough", "", &done)
		require.Contains(t, string(done.Plan), "enough")
		require.Empty(t, g.Alerts())
		g.get(t, "POST", path, `{"to":{"idc2":0},"for":"1h"}`, &changed{})
		g.get(t, "POST", path, `{"to":{"idc2":10},"for":"1h","replace":true}`, &changed{})
		require.Equal(t, uint32(1000), g.entry()["idc2"])
		require.Empty(t, g.Alerts())
	})
}
