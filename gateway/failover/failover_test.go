package failover

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

const (
	entry1 = "idc/idc1/entry"
	entry2 = "idc/idc2/entry"
)

// From the probe to the weights, and back again.
func TestDeadIDC(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2)
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		require.False(t, g.serving().Degraded)
		g.see(4, "!"+entry1, entry2)
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		g.see(1, "!"+entry1, entry2)
		require.Equal(t, map[string]uint32{"idc1": 0, "idc2": xds.Whole}, g.entry())
		require.True(t, g.serving().Degraded)
		require.Equal(t, []string{"IdcDead"}, g.alertNames())
		require.Equal(t, int64(xds.Whole), g.metric(t, "lockkeeper_failover_weight", attribute.String("idc", "idc2"), attribute.String("scope", "entry")))
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_subjects", attribute.String("kind", "idc"), attribute.String("health", "dead")))
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_degraded"))
		require.Equal(t, int64(30), g.metric(t, "lockkeeper_failover_evidence_total", attribute.String("kind", "idc")))
		g.see(59, entry1, entry2)
		require.Equal(t, uint32(0), g.entry()["idc1"])
		g.see(90, entry1, entry2)
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		require.Empty(t, g.Alerts())
	})
}

// Nothing acts that was not told to, but everybody is told what would be done.
func TestObserve(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		cfg := acting(directory)
		cfg.Mode = nil
		g := launch(t, cfg)
		defer g.stop()
		g.see(10, entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d")
		g.see(10, "!"+entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d")
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		require.Empty(t, g.serving().Out)
		require.Equal(t, []string{"IdcDead", "FailoverObserve"}, g.alertNames())
		require.Contains(t, g.Alerts()[1].Annotations["description"], "would take out machine/a")
		require.Contains(t, g.Alerts()[1].Annotations["description"], "idc1 0 %, idc2 100 %")
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_would_out", attribute.String("kind", "machine")))
	})
}

func TestMachines(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, "machine/a", "machine/b", "machine/c", "machine/d", "dns/ns1")
		g.see(4, "!machine/a", "machine/b", "machine/c", "machine/d", "!dns/ns1")
		require.Len(t, g.serving().Out, 1)
		require.Contains(t, g.serving().Out["machine/a"].Why, "connection refused")
		require.ElementsMatch(t, []string{"MachineEjected", "DnsAnswersDiffer"}, g.alertNames())
		a := g.Alerts()[0]
		require.Equal(t, map[string]string{"alertname": "MachineEjected", "idc": "idc1", "severity": "ticket", "owner": "platform", "gateway": ""}, a.Labels)
		require.Equal(t, "Taken out in idc1: 1 of the machines", a.Annotations["summary"])
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_out", attribute.String("kind", "machine")))
	})
}

// What was taken out stays out over a restart, until it is confirmed or healthy; versions only grow.
func TestRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		g.see(10, entry1, entry2)
		g.see(6, "!"+entry1, entry2)
		require.Equal(t, uint32(0), g.entry()["idc1"])
		answer := g.ask("POST", "/api/v1/failover/hold", `{"subject":"idc/idc2/mesh","action":"hold","for":"1h"}`)
		require.Equal(t, 200, answer.Code, answer.Body.String())
		version := g.serving().Version
		g.stop()

		g = launch(t, acting(directory))
		defer g.stop()
		require.Equal(t, uint32(0), g.entry()["idc1"])
		require.Greater(t, g.serving().Version, version)
		v, _ := g.board.get()
		require.True(t, v.decision.Verdict[entry1].Provisional)
		require.Len(t, v.holds, 1)
		require.Equal(t, "oncall", v.holds[0].By)
		events, _, _ := g.events.after(0)
		require.NotEmpty(t, events, "the audit is read again")
		g.see(6, "!"+entry1, entry2)
		v, _ = g.board.get()
		require.False(t, v.decision.Verdict[entry1].Provisional)
		require.Equal(t, uint32(0), g.entry()["idc1"])
	})
}

// A state that cannot be read is kept aside, nothing is taken out, and somebody is told until it is looked at.
func TestStateIsCorrupt(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		require.NoError(t, os.WriteFile(filepath.Join(directory, stateFile), []byte(`{"format":1,"sha256":"","state":{}}`), 0o600))
		g := launch(t, acting(directory))
		defer g.stop()
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		require.Greater(t, g.serving().Version, uint64(900_000_000_000), "it goes on by the clock")
		require.Equal(t, []string{"FailoverStateBroken"}, g.alertNames())
		require.Equal(t, "unreadable", g.Alerts()[0].Labels["what"])
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_state_broken"))
		aside := putAside(directory)
		require.Len(t, aside, 1)
		events, _, _ := g.events.after(0)
		require.Equal(t, "state", events[0].Kind)
		require.Contains(t, events[0].Why, "its checksum is wrong; it is kept as "+aside[0])
		require.NoError(t, os.Remove(aside[0]))
		time.Sleep(2 * asideEvery)
		synctest.Wait()
		require.Empty(t, g.Alerts())
	})
}

// Everybody who watches gets what holds now at once, and then every change or the newest of several; nobody waits for anybody.
func TestWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		var before atomic.Int64
		g.see(10, entry1, entry2)
		var stops []func()
		var calls, changed atomic.Int64
		for range 100 {
			var last uint64
			stops = append(stops, g.WatchServing(func(s *xds.Serving) {
				require.Greater(t, s.Version, last)
				last = s.Version
				calls.Add(1)
				if s.IDCs["idc1"].Entry == 0 {
					changed.Add(1)
				}
			}))
		}
		require.Equal(t, int64(100), calls.Load())
		slow := make(chan struct{})
		stopSlow := g.WatchServing(func(s *xds.Serving) {
			if s.IDCs["idc1"].Entry == 0 {
				before.Add(1)
				<-slow
			}
		})
		g.see(6, "!"+entry1, entry2)
		require.Equal(t, int64(100), changed.Load())
		require.Equal(t, int64(1), before.Load())
		for _, stop := range stops[:50] {
			stop()
			stop()
		}
		calls.Store(0)
		g.see(70, entry1, entry2)
		require.Positive(t, calls.Load())
		require.Zero(t, calls.Load()%50, "50 have stopped")
		close(slow)
		stopSlow()
		for _, stop := range stops[50:] {
			stop()
		}
	})
}

// Whoever watches before the start, or does not stop, has no harm.
func TestWatchBeforeStart(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		var calls atomic.Int64
		var stop func()
		g := launch(t, acting(directory), func(f *failover) {
			stop = f.WatchServing(func(*xds.Serving) { calls.Add(1) })
			require.Zero(t, calls.Load())
		})
		synctest.Wait()
		require.Equal(t, int64(1), calls.Load())
		g.stop()
		stop()
	})
}

// More evidence than anybody can have is dropped and counted; whoever brings it never waits.
func TestEvidenceOverflows(t *testing.T) {
	g := launch(t, acting(t.TempDir()))
	defer g.stop()
	inside, release, held := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		held <- g.loop.look(context.Background(), func(time.Time) { close(inside); <-release })
	}()
	<-inside
	evidence := make([]probes.Evidence, 1000)
	for range 2 * mostWaiting / len(evidence) {
		g.Observe(evidence)
	}
	over := 2*mostWaiting/len(evidence)*len(evidence) - mostWaiting
	close(release)
	require.NoError(t, <-held)
	require.Equal(t, int64(over), g.metric(t, "lockkeeper_failover_evidence_dropped_total"))
}

// A directory that nobody may write to is a mistake that is told at the start.
func TestStartFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	f, err := newFailover(acting(filepath.Join(file, "below")), newGatewayTelemetry(t))
	require.NoError(t, err)
	require.ErrorContains(t, f.Start(t.Context(), testHost{}), "failover: data_directory: ")
	require.NoError(t, f.Shutdown(t.Context()))
}

// Who reads all the time puts nothing off: silence is noticed, and holds end.
func TestReadersPutNothingOff(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(5, entry1, entry2, "machine/a")
		g.get(t, "POST", "/api/v1/failover/hold", `{"subject":"machine/a","action":"hold","for":"3s"}`, &changed{})
		for range 60 {
			g.get(t, "GET", "/api/v1/failover/shift", "", &struct{}{})
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		v, _ := g.board.get()
		require.Empty(t, v.holds)
		require.Equal(t, Unknown, v.decision.Verdict[entry1].Health)
		require.Less(t, time.Since(v.at), lookEvery+time.Millisecond)
	})
}

// Evidence whose clock is wrong by a year moves nothing, and stops nothing.
func TestEvidenceOfAnotherTime(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2)
		for _, wrong := range []time.Duration{-365 * 24 * time.Hour, 365 * 24 * time.Hour} {
			for range 20 {
				g.Observe([]probes.Evidence{{Subject: entry1, IDC: "idc1", Probe: "other", At: time.Now().Round(0).Add(wrong), Next: time.Second}})
				g.see(1, entry1, entry2)
			}
		}
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
	})
}
