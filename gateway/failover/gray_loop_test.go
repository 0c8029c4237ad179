package failover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/lockkeeper/lockkeeper/probes"
)

// call tells what three callers saw of two endpoints on two machines in so many seconds.
func (g *gateway) call(seconds int, failures [2]uint64, ping bool) {
	for range seconds {
		var evidence []probes.Evidence
		for i, machine := range []string{"machine/a", "machine/b"} {
			traffic := &probes.Traffic{Over: time.Second, Requests: 300, Failures: 3 * failures[i], Cluster: "web", Callers: map[string]uint64{}, Failing: map[string]uint64{}}
			for _, caller := range callerNames[:3] {
				traffic.Callers[caller], traffic.Failing[caller] = 100, failures[i]
			}
			if failures[i] < 100 {
				traffic.Succeeded = time.Now()
			}
			if traffic.Began = time.Now(); failures[i] > 0 {
				traffic.Flags = map[string]uint64{"UF": traffic.Failures}
			}
			evidence = append(evidence,
				probes.Evidence{Subject: machine, IDC: "idc1", Probe: "ping", At: time.Now(), Next: 2500 * time.Millisecond, OK: ping || i == 0, Reason: "timeout"},
				probes.Evidence{Subject: endpointName(i), IDC: "idc1", At: time.Now(), Next: 3 * time.Second, Traffic: traffic})
		}
		g.Observe(evidence)
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

// From what the callers saw to what is drained, by itself.
func TestGrayEndpointIsDrained(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.call(10, [2]uint64{0, 0}, true)
		require.Empty(t, g.serving().Out)
		g.call(1, [2]uint64{0, 50}, true)
		require.Empty(t, g.serving().Out)
		g.call(1, [2]uint64{0, 50}, true)
		require.Len(t, g.serving().Out, 1)
		require.True(t, g.serving().Out[endpointName(1)].Drain)
		require.Equal(t, []string{"EndpointEjected"}, g.alertNames())
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_subjects", attribute.String("kind", "endpoint"), attribute.String("health", "gray")))
		g.call(20, [2]uint64{100, 50}, true)
		require.Len(t, g.serving().Out, 1, "never the last")
		require.NotContains(t, g.serving().Out, endpointName(0))
	})
}

// A machine that does not answer pings stays while those who call it succeed, and that is told.
func TestCallersVetoPings(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.Place(nil, map[string][]string{"machine/a": {endpointName(0)}, "machine/b": {endpointName(1)}})
		g.call(10, [2]uint64{0, 0}, true)
		g.call(20, [2]uint64{0, 1}, false)
		require.Empty(t, g.serving().Out)
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_vetoed", attribute.String("kind", "machine")))
		g.call(5, [2]uint64{0, 1}, true)
		require.NotContains(t, g.ask("GET", "/api/v1/events?subject=machine/b", "").Body.String(), "dead", "not even for a moment when it answers again")
		g.see(4, "machine/a", "!machine/b")
		require.Contains(t, g.serving().Out, "machine/b")
		require.Equal(t, int64(0), g.metric(t, "lockkeeper_failover_vetoed", attribute.String("kind", "machine")))
	})
}

// What callers did before a machine died does not put it back when it answers again: it has to be well for its clean time.
func TestCallersOfBeforeDoNotVeto(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.Place(nil, map[string][]string{"machine/a": {endpointName(0)}, "machine/b": {endpointName(1)}})
		ping := func(ok bool) {
			g.Observe([]probes.Evidence{{Subject: "machine/b", IDC: "idc1", Probe: "ping", At: time.Now(), Next: 2500 * time.Millisecond, OK: ok, Reason: "timeout"}})
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			require.Contains(t, g.serving().Out, "machine/b")
		}
		g.call(10, [2]uint64{0, 0}, true)
		g.call(1, [2]uint64{0, 100}, false)
		ping(false)
		ping(true)
	})
}

// A machine that was frozen answers at once what it held. That does not put it back: it has to be well for its clean time. What ended about when it was called
// dead, and was told later, still vetoes.
func TestWhatWasHeldDoesNotVeto(t *testing.T) {
	f := func(goesOn, ended time.Duration, isOut bool) {
		t.Helper()
		inBubble(t, func(t *testing.T, directory string) {
			g := launch(t, acting(directory))
			defer g.stop()
			g.Place(nil, map[string][]string{"machine/a": {endpointName(0)}, "machine/b": {endpointName(1)}})
			g.call(10, [2]uint64{0, 0}, true)
			g.see(2, "machine/a", "!machine/b")
			g.glance("machine/a", "!machine/b")
			synctest.Wait()
			require.Contains(t, g.serving().Out, "machine/b")
			dead := time.Now()
			for ; time.Now().Before(dead.Add(goesOn)); time.Sleep(500 * time.Millisecond) {
				g.glance("machine/a", "!machine/b")
			}
			traffic := &probes.Traffic{Over: time.Second, Requests: 1, Cluster: "web", Callers: map[string]uint64{"x": 1}, Succeeded: dead.Add(ended)}
			g.Observe([]probes.Evidence{{Subject: endpointName(1), IDC: "idc1", At: time.Now(), Next: 3 * time.Second, Traffic: traffic}})
			synctest.Wait()
			for range 10 {
				g.see(1, "machine/a", "machine/b")
				_, out := g.serving().Out["machine/b"]
				require.Equal(t, isOut, out)
			}
			g.see(25, "machine/a", "machine/b")
			require.Empty(t, g.serving().Out)
		})
	}
	f(5*time.Second, 5*time.Second, true)
	f(2*time.Second, 1500*time.Millisecond, true)
	f(1500*time.Millisecond, 500*time.Millisecond, false)
	f(1500*time.Millisecond, -time.Second, false)
}
