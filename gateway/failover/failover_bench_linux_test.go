package failover

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// From what changes the weights to the call of whoever watches, while so many machines are known.
func BenchmarkChangeToApply(b *testing.B) {
	for _, machines := range []int{0, 1000, 10_000} {
		b.Run(fmt.Sprintf("machines=%d", machines), func(b *testing.B) {
			g := launch(b, acting(b.TempDir()))
			defer g.stop()
			at := time.Now()
			var fleet []probes.Evidence
			for i := range machines {
				fleet = append(fleet, probes.Evidence{Subject: fmt.Sprintf("machine/m%d", i), IDC: "idc1", At: at, Next: time.Hour, OK: true})
			}
			g.Observe(fleet)
			applied := make(chan uint32, 100)
			defer g.WatchServing(func(s *xds.Serving) { applied <- s.IDCs["idc1"].Entry })()
			<-applied
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() { // a person's word takes the way that evidence takes
				require.NoError(b, g.loop.ask(b.Context(), false, func(now time.Time) error {
					g.loop.drop(func(Hold) bool { return true })
					if g.loop.decision.Serving.IDCs["idc1"].Entry > 0 {
						g.loop.holds = []Hold{{Subject: entry1, Action: Eject, By: "bench", At: now, Until: now.Add(time.Hour)}}
					}
					return nil
				}))
				<-applied
			}
			reportCPU(b, began)
		})
	}
}

// What 10,000 probes a second cost, without what brings them: the figure is of a second.
func BenchmarkSecondOfProbes(b *testing.B) {
	g := launch(b, acting(b.TempDir()))
	defer g.stop()
	const machines, batch = 10_000, 100
	evidence := make([]probes.Evidence, machines)
	for i := range evidence {
		evidence[i] = probes.Evidence{Subject: fmt.Sprintf("machine/m%d", i), IDC: "idc1", Probe: "ping", Next: 10 * time.Hour, OK: true}
	}
	b.ReportAllocs()
	began := cpuTime(b)
	for b.Loop() {
		at := time.Now()
		for i := range evidence {
			evidence[i].At = at
		}
		for i := 0; i < machines; i += batch {
			g.Observe(evidence[i : i+batch])
		}
		require.NoError(b, g.loop.look(b.Context(), func(time.Time) {}))
	}
	reportCPU(b, began)
}

// cpuTime is what this process has used: on a busy machine the clock on the wall says little.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func reportCPU(b *testing.B, began time.Duration) {
	b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
}
