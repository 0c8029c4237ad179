package failover

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// In real time: how long it takes from the evidence that makes a machine dead to the call of whoever watches, while 1,000 are known.
func TestEvidenceToApply(t *testing.T) {
	cfg := acting(t.TempDir())
	cfg.Thresholds = map[string]Threshold{"machine": {Unhealthy: 1, Healthy: 60}}
	g := launch(t, cfg)
	defer g.stop()
	machine := func(i int, ok bool) probes.Evidence { // two of each rack, so that one of them may be out
		return probes.Evidence{Subject: fmt.Sprintf("machine/m%d", i), IDC: fmt.Sprint("rack", i/2), Probe: "ping", At: time.Now(), Next: time.Hour, OK: ok, Reason: "no answer"}
	}
	const machines = 1000
	var fleet []probes.Evidence
	for i := range machines {
		fleet = append(fleet, machine(i, true))
	}
	g.Observe(fleet)
	applied := make(chan int, machines)
	defer g.WatchServing(func(s *xds.Serving) { applied <- len(s.Out) })()
	<-applied
	var took []time.Duration
	for i := range 40 { // of 1,000 a minute 50 may be taken out
		began := time.Now()
		g.Observe([]probes.Evidence{machine(2*i, false)})
		for out := range applied {
			if out == i+1 {
				break
			}
		}
		took = append(took, time.Since(began))
		time.Sleep(5 * time.Millisecond) // the loop rests for a moment after each decision, and the keeper writes
	}
	slices.Sort(took)
	t.Logf("evidence to apply, 1,000 machines: median %s, p95 %s", took[20], took[38])
	require.Less(t, took[20], time.Second, "far more than a busy machine explains")
}

// All at once: evidence, people, readers and watchers.
func TestTogether(t *testing.T) {
	g := launch(t, acting(t.TempDir()))
	defer g.stop()
	var all sync.WaitGroup
	over := time.Now().Add(300 * time.Millisecond)
	do := func(what func(i int)) {
		all.Go(func() {
			for i := 0; time.Now().Before(over); i++ {
				what(i)
			}
		})
	}
	for prober := range 4 {
		do(func(i int) {
			g.Observe([]probes.Evidence{{
				Subject: fmt.Sprintf("machine/m%d", i%50), IDC: "idc1", Probe: fmt.Sprint(prober), Probes: 4, At: time.Now(), Next: time.Second, OK: i%7 > 0,
			}})
		})
	}
	do(func(i int) {
		g.ask("POST", "/api/v1/failover/hold", fmt.Sprintf(`{"subject":"machine/m%d","action":"eject","for":"1h"}`, i%50))
	})
	do(func(int) { g.ask("DELETE", "/api/v1/failover/hold?subject=*", "") })
	do(func(int) { g.ask("POST", "/api/v1/failover/shift", `{"to":{"idc2":10},"for":"1h","replace":true}`) })
	do(func(int) {
		g.ask("GET", "/api/v1/failover", "")
		g.ask("GET", "/api/v1/failover/shift", "")
		g.ask("GET", "/api/v1/events", "")
		g.Alerts()
		_, _ = g.telemetry.GetMetric("lockkeeper_failover_subjects")
	})
	do(func(int) {
		var last uint64
		stop := g.WatchServing(func(s *xds.Serving) {
			if s.Version <= last {
				t.Error("versions go back")
			}
			last = s.Version
		})
		time.Sleep(time.Millisecond)
		stop()
	})
	all.Wait()
}
