package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
)

// decide is what the fleet's judge makes of it, acted upon: what is out is tried by nobody.
func (f *called) decide(rules Rules, before Decision) Decision {
	d := rules.Decide(Input{Now: f.now, Opinions: f.judge.Opinions(f.now), Clusters: f.judge.Clusters(), Before: before})
	clear(f.out)
	for subject := range d.Serving.Out {
		f.out[subject] = true
	}
	return d
}

// What is gray is drained, and returns on trial after the clean time. If it is gray still, it is out again after a second, and for longer
// each time; if it is well, it stays.
func TestGrayReturnsOnTrial(t *testing.T) {
	rules := twoIDCs(true)
	called := newCallers(2, 2, 100, func(endpoint, _ int) float64 { return 0.5 * float64(endpoint) })
	var d Decision
	out, turns := false, []int{}
	for second := 1; second <= 260; second++ {
		if second == 200 { // repaired while it is out
			called.fails = func(int, int) float64 { return 0 }
		}
		called.second(1)
		d = called.decide(rules, d)
		require.Empty(t, d.Frozen)
		require.False(t, called.out[endpointName(0)])
		if is := called.out[endpointName(1)]; is != out {
			out, turns = is, append(turns, second)
			require.Equal(t, is, d.Serving.Out[endpointName(1)].Drain)
		}
	}
	require.False(t, out)
	// Out for 30 s, a second in; out for 60 s; out for 120 s.
	require.Equal(t, []int{2, 32, 33, 93, 94, 214}, turns)
}

// Of two that are gray one after the other in a cluster of two, the last is never taken out.
func TestGrayLeavesTheLast(t *testing.T) {
	rules := twoIDCs(true)
	called := newCallers(2, 2, 100, func(endpoint, _ int) float64 { return 0.5 * float64(endpoint) })
	var d Decision
	for second := range 60 {
		if second == 20 {
			called.fails = func(int, int) float64 { return 1 }
		}
		called.second(1)
		d = called.decide(rules, d)
		require.LessOrEqual(t, len(d.Serving.Out), 1)
	}
}

// An endpoint that nobody tries any more is unknown, and forgotten after an hour.
func TestUntriedIsForgotten(t *testing.T) {
	called := newCallers(3, 2, 10, func(int, int) float64 { return 0 })
	called.second(1)
	require.Len(t, called.judge.Clusters()["web"], 0, "nothing was judged yet")
	require.Empty(t, called.gray())
	require.Len(t, called.judge.Clusters()["web"], 3)
	called.out[endpointName(2)] = true
	for range 9 {
		called.second(1)
	}
	require.Empty(t, called.gray())
	require.Equal(t, called.now.Add(time.Second), called.judge.Next())
	called.second(1)
	require.Equal(t, []string{endpointName(2)}, called.gray())
	require.Equal(t, Unknown, called.opinion(2).Health)
	require.Len(t, called.judge.Clusters()["web"], 2)
	called.now = called.now.Add(3 * time.Hour)
	require.Len(t, called.gray(), 2, "the third is forgotten")
	called.now = called.now.Add(forgetAfter)
	require.Empty(t, called.judge.Opinions(called.now))
	require.Empty(t, called.judge.Clusters())
	require.Empty(t, called.judge.mesh.pools)
}

// Evidence that is late, or from the future, or says nonsense, does no harm.
func TestGrayOddEvidence(t *testing.T) {
	called := newCallers(2, 2, 100, func(int, int) float64 { return 0 })
	for range 20 {
		called.second(1)
	}
	e := probes.Evidence{Subject: endpointName(0), At: called.now.Add(-time.Minute), Traffic: &probes.Traffic{
		Requests: 10, Failures: 1000, Cluster: "web", Callers: map[string]uint64{"a": 5}, Failing: map[string]uint64{"a": 1 << 60, "x": 7},
	}}
	require.False(t, called.judge.Observe(e))
	e.At = called.now
	called.judge.Observe(e)
	require.Empty(t, called.gray())
	e.At = called.now.Add(24 * time.Hour)
	called.judge.Observe(e)
	require.Empty(t, called.gray())
	called.fails = func(endpoint, _ int) float64 { return 0.5 * float64(endpoint) }
	called.second(1)
	called.second(1)
	require.Equal(t, []string{endpointName(1)}, called.gray(), "what follows counts")
	for _, subject := range []string{"", "machine/a", "idc/idc1/entry"} {
		e.Subject = subject
		require.False(t, called.judge.Observe(e))
	}
}

// besides is a machine with a ping and the endpoint that is on it.
type besides struct {
	judge *Judge
	now   time.Time
}

func (b *besides) second(ping bool, tries, failures uint64, callers ...string) Opinion {
	b.now = b.now.Add(time.Second)
	if tries > 0 {
		traffic := &probes.Traffic{Requests: tries, Failures: failures, Cluster: "web", Callers: map[string]uint64{}, Failing: map[string]uint64{}}
		for _, caller := range callers {
			traffic.Callers[caller], traffic.Failing[caller] = tries, failures
		}
		if failures < tries {
			traffic.Succeeded = b.now.Add(-100 * time.Millisecond)
		}
		b.judge.Observe(probes.Evidence{Subject: endpointName(0), At: b.now, Traffic: traffic})
	}
	b.judge.Observe(probes.Evidence{Subject: "machine/a", Probe: "ping", At: b.now, Next: 2 * time.Second, OK: ping, Reason: "timeout"})
	for _, o := range b.judge.Opinions(b.now) {
		if o.Subject == "machine/a" {
			return o
		}
	}
	return Opinion{}
}

// What callers see of the endpoints on a machine counts beside its pings, and against them.
func TestCallersBesidePings(t *testing.T) {
	f := func(placed bool) *besides {
		b := &besides{judge: NewJudge(twoIDCs(true), ""), now: start}
		if placed {
			b.judge.Place(map[string][]string{"machine/a": {endpointName(0)}})
		}
		for range 10 {
			require.False(t, b.second(true, 100, 0, "a", "b").Vetoed)
		}
		return b
	}
	// Nobody calls: three pings.
	b := f(true)
	require.Equal(t, Healthy, b.second(false, 0, 0).Health)
	require.Equal(t, Healthy, b.second(false, 0, 0).Health)
	dead := b.second(false, 0, 0)
	require.Equal(t, Dead, dead.Health)
	require.Zero(t, dead.Callers)
	// Two callers agree: two pings, and it passes a freeze.
	b = f(true)
	require.Equal(t, Healthy, b.second(false, 100, 100, "a", "b").Health)
	dead = b.second(false, 100, 100, "a", "b")
	require.Equal(t, Dead, dead.Health)
	require.Equal(t, 2, dead.Callers)
	// One caller is not enough, nor are two of whom one succeeds.
	b = f(true)
	b.second(false, 100, 100, "a")
	require.Equal(t, Healthy, b.second(false, 100, 100, "a").Health)
	b = f(true)
	b.second(false, 100, 50, "a", "b")
	require.Equal(t, Healthy, b.second(false, 100, 50, "a", "b").Health)
	// Callers still succeed: no ping matters, until they do not.
	b = f(true)
	for range 60 {
		require.Equal(t, Healthy, b.second(false, 100, 1, "a", "b").Health)
	}
	require.True(t, b.second(false, 100, 1, "a", "b").Vetoed)
	require.Equal(t, Healthy, b.second(false, 0, 0).Health)
	require.Equal(t, Healthy, b.second(false, 0, 0).Health)
	require.Equal(t, Dead, b.second(false, 0, 0).Health)
	// What ended before the pings failed is no veto.
	b = f(true)
	b.second(false, 0, 0)
	b.second(false, 0, 0)
	require.Equal(t, Dead, b.second(false, 0, 0).Health)
	// Nobody knows what is on the machine.
	b = f(false)
	b.second(false, 100, 0, "a", "b")
	b.second(false, 100, 0, "a", "b")
	require.Equal(t, Dead, b.second(false, 100, 0, "a", "b").Health)
}

// An endpoint with a probe of its own has one opinion.
func TestProbedEndpointIsOneSubject(t *testing.T) {
	called := newCallers(2, 2, 100, func(endpoint, _ int) float64 { return 0.5 * float64(endpoint) })
	for range 3 {
		called.second(1)
		called.judge.Observe(probes.Evidence{Subject: endpointName(1), Probe: "tcp", At: called.now, Next: 2 * time.Second, OK: true})
		called.judge.Observe(probes.Evidence{Subject: "machine/a", Probe: "ping", At: called.now, Next: 2 * time.Second, OK: true})
	}
	opinions := called.judge.Opinions(called.now)
	require.Len(t, opinions, 3)
	require.Equal(t, []Health{Healthy, Gray, Healthy}, []Health{opinions[0].Health, opinions[1].Health, opinions[2].Health})
	require.Equal(t, "machine/a", opinions[2].Subject)
	require.Equal(t, called.now.Add(-time.Second).Add(30*time.Second), opinions[1].Hold.Add(-time.Second))
}
