package failover

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
)

const fleet = 10_000

// aFleet is a judge that has met 10,000 healthy machines, and a probe's result of each.
func aFleet(tb testing.TB) (*Judge, []probes.Evidence, time.Time) {
	judge := NewJudge(twoIDCs(true), "")
	evidence := make([]probes.Evidence, fleet)
	now := start
	for round := range 5 {
		now = start.Add(time.Duration(round) * time.Second)
		for i := range evidence {
			name := fmt.Sprintf("machine/host-%05d.example.com", i)
			evidence[i] = probes.Evidence{Subject: name, IDC: fmt.Sprint("idc", 1+i%2), Probe: "ping " + name, At: now, Next: 1500 * time.Millisecond, OK: true}
			judge.Observe(evidence[i])
		}
	}
	require.Len(tb, judge.Opinions(now), fleet)
	return judge, evidence, now
}

// Evidence of the steady state costs no memory: 10,000 pings a second go through here.
func BenchmarkObserve(b *testing.B) {
	judge, evidence, now := aFleet(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i++; i%fleet == 0 {
			now = now.Add(time.Second)
		}
		e := evidence[i%fleet]
		e.At = now.Add(time.Duration(i%fleet) * 100 * time.Microsecond)
		if judge.Observe(e) {
			b.Fatal("nothing has changed")
		}
		judge.Next()
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	judge, evidence, now := aFleet(t)
	e := evidence[42]
	require.Zero(t, testing.AllocsPerRun(100, func() {
		now = now.Add(time.Second)
		e.At = now
		judge.Observe(e)
		judge.Next()
	}))
}

// One of 10,000 machines has changed, or none: opinions, decision and audit from anew.
func BenchmarkDecide(b *testing.B) {
	for _, changed := range []int{1, 0} {
		b.Run(fmt.Sprintf("changed=%d/clusters=50", changed), func(b *testing.B) { benchmarkDecide(b, 50, changed) })
		b.Run(fmt.Sprintf("changed=%d/clusters=none", changed), func(b *testing.B) { benchmarkDecide(b, 0, changed) })
	}
}

func benchmarkDecide(b *testing.B, n, changed int) {
	judge, evidence, now := aFleet(b)
	rules := twoIDCs(true)
	clusters := map[string][]string{}
	for i, e := range evidence {
		if n > 0 {
			name := fmt.Sprint("cluster-", i%n)
			clusters[name] = append(clusters[name], e.Subject)
		}
	}
	dead := evidence[42]
	dead.OK, dead.Reason = false, "timeout"
	for range 3 {
		now = now.Add(time.Second)
		for _, e := range evidence {
			if e.At = now; e.Subject == dead.Subject {
				e = dead
				e.At = now
			}
			judge.Observe(e)
		}
	}
	in := Input{Now: now, Opinions: judge.Opinions(now), Clusters: clusters}
	if changed > 0 {
		in.Opinions[42].Health = Healthy
	}
	in.Before = rules.Decide(in)
	var d Decision
	b.ReportAllocs()
	for b.Loop() {
		in.Opinions = judge.Opinions(now)
		d = rules.Decide(in)
		Changes(in.Before, d)
	}
	require.Len(b, d.Serving.Out, 1)
}
