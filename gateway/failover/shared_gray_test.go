package failover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
)

// callers is a second in which three callers of a gateway try each of two endpoints so often, and so many tries at the second one fail.
func (g *gateway) callers(tries, failures uint64) {
	var evidence []probes.Evidence
	for i, failed := range []uint64{0, failures} {
		traffic := &probes.Traffic{Over: time.Second, Requests: 3 * tries, Failures: 3 * failed, Cluster: "web", Succeeded: time.Now(), Callers: map[string]uint64{}, Failing: map[string]uint64{}}
		for _, caller := range callerNames[:3] {
			traffic.Callers[caller], traffic.Failing[caller] = tries, failed
		}
		evidence = append(evidence, probes.Evidence{Subject: endpointName(i), IDC: "idc1", At: time.Now(), Next: 3 * time.Second, Traffic: traffic})
	}
	g.Observe(evidence)
}

// A gray endpoint is drained, and returns, also where the callers of another site are too few to see it. Those who are enough and do not are no quorum with it.
func TestGrayAmongSites(t *testing.T) {
	f := func(tries, failures uint64, drained bool) {
		t.Helper()
		inBubble(t, func(t *testing.T, directory string) {
			_, berlin, tokyo, outside := three(t, directory)
			defer func() { berlin.stop(); tokyo.stop(); outside.stop() }()
			second := func(bad bool) {
				few, many := failures, uint64(50)
				if !bad {
					few, many = 0, 0
				}
				if _, out := berlin.serving().Out[endpointName(1)]; !out { // nobody tries what is drained
					berlin.callers(100, many)
					if tries > 0 {
						tokyo.callers(tries, few)
					}
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
			synctest.Wait()
			for range 20 {
				second(false)
			}
			for range 5 {
				second(true)
			}
			same(t, berlin, tokyo, outside)
			require.Equal(t, drained, berlin.serving().Out[endpointName(1)].Drain)
			for range 60 {
				second(false)
			}
			same(t, berlin, tokyo, outside)
			require.Empty(t, berlin.serving().Out)
		})
	}
	f(0, 0, true)
	f(2, 1, true)
	f(100, 50, true)
	f(100, 0, false)
}
