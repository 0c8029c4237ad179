package probes

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// lab runs a scheduler with one prober in fake time.
type lab struct {
	mu       sync.Mutex
	outcomes []outcome
	dropped  int
	*scheduler
}

func newLab(timeout time.Duration, probe prober) *lab {
	l := &lab{}
	l.scheduler = newScheduler(map[string]way{"m": {probe, timeout}}, func(outcomes []outcome) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.outcomes = append(l.outcomes, outcomes...)
	}, func(*Target) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.dropped++
	})
	return l
}

// forTime runs it for some time, and returns what was reported.
func (l *lab) forTime(t *testing.T, d time.Duration) []outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	l.run(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outcomes
}

func target(interval time.Duration) *Target {
	return &Target{Module: "m", Target: "t", Interval: interval}
}

func good(context.Context, *Target) Result { return Result{OK: true} }

func bad(context.Context, *Target) Result { return Result{Reason: "refused"} }

func hung(ctx context.Context, _ *Target) Result {
	<-ctx.Done()
	return Result{Reason: "hung"}
}

func TestProbesComeAtTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(100*time.Millisecond, good)
		l.set([]*Target{target(time.Second)})
		outcomes := l.forTime(t, 20*time.Second)
		require.Len(t, outcomes, 20, "the first comes within the first interval")
		for i, o := range outcomes[1:] {
			require.Equal(t, time.Second, o.at.Sub(outcomes[i].at))
			require.False(t, o.again)
		}
	})
}

// Many targets do not start at once.
func TestStartIsJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(100*time.Millisecond, good)
		var targets []*Target
		for range 1000 {
			targets = append(targets, target(time.Second))
		}
		l.set(targets)
		began := time.Now()
		in := [10]int{}
		for _, o := range l.forTime(t, time.Second) {
			in[o.at.Sub(began)/(100*time.Millisecond)]++
		}
		for _, n := range in {
			require.InDelta(t, 100, n, 60)
		}
	})
}

// The timeout may be longer than the interval: probes overlap, and each is reported when it ends.
func TestProbesOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(time.Second, hung)
		l.set([]*Target{target(250 * time.Millisecond)})
		outcomes := l.forTime(t, 10*time.Second)
		require.GreaterOrEqual(t, len(outcomes), 35)
		for i, o := range outcomes[1:] {
			require.Equal(t, 250*time.Millisecond, o.at.Sub(outcomes[i].at))
			require.Equal(t, time.Second, o.Took)
			require.False(t, o.again, "others are under way, and say the same")
		}
		require.Zero(t, l.dropped)
	})
}

func TestSecondProbeAtOnceAfterAFirstFailure(t *testing.T) {
	// refused: the second probe comes at once, the third as it was due
	synctest.Test(t, func(t *testing.T) {
		l := newLab(100*time.Millisecond, bad)
		l.set([]*Target{target(time.Second)})
		outcomes := l.forTime(t, 4*time.Second)
		require.Len(t, outcomes, 5)
		require.True(t, outcomes[1].again)
		require.Equal(t, outcomes[0].at, outcomes[1].at)
		require.Equal(t, outcomes[0].at.Add(time.Second), outcomes[2].at)
		for _, i := range []int{0, 2, 3, 4} {
			require.False(t, outcomes[i].again)
		}
	})
	// hung: it comes after the timeout
	synctest.Test(t, func(t *testing.T) {
		l := newLab(400*time.Millisecond, hung)
		l.set([]*Target{target(time.Second)})
		outcomes := l.forTime(t, 3*time.Second)
		require.True(t, outcomes[1].again)
		require.Equal(t, outcomes[0].at.Add(400*time.Millisecond), outcomes[1].at)
		require.Equal(t, outcomes[0].at.Add(time.Second), outcomes[2].at)
	})
	// not when the next one is about to come
	synctest.Test(t, func(t *testing.T) {
		l := newLab(250*time.Millisecond, hung)
		l.set([]*Target{target(250 * time.Millisecond)})
		for _, o := range l.forTime(t, 3*time.Second) {
			require.False(t, o.again)
		}
	})
	// flapping: once for each fall, and so at most twice as many probes
	synctest.Test(t, func(t *testing.T) {
		n := 0
		l := newLab(100*time.Millisecond, func(ctx context.Context, target *Target) Result {
			n++
			return Result{OK: n%3 == 0}
		})
		l.set([]*Target{target(time.Second)})
		require.LessOrEqual(t, len(l.forTime(t, 100*time.Second)), 151)
	})
}

// A prober that does not come back when its time is over holds up nobody but its own target, whose later probes are dropped and counted.
func TestProbersThatNeverReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l := newLab(500*time.Millisecond, func(_ context.Context, target *Target) Result {
			if target.Target == "never" {
				<-release
			}
			return Result{OK: true}
		})
		never := target(time.Second)
		never.Target = "never"
		l.set([]*Target{never, target(time.Second)})
		time.AfterFunc(20*time.Second, func() { close(release) })
		outcomes := l.forTime(t, 10*time.Second)
		require.Len(t, outcomes, 10, "of the other target")
		require.Equal(t, 8, l.dropped, "all but the two that may be under way")
	})
}

// What a process saw that was stopped itself says nothing of its targets.
func TestLateFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		l := newLab(250*time.Millisecond, func(ctx context.Context, _ *Target) Result {
			if n++; n == 3 {
				time.Sleep(10 * time.Second) // as if nothing of this process had run meanwhile
				return Result{Reason: "hung"}
			}
			return Result{OK: true}
		})
		l.set([]*Target{target(20 * time.Second)})
		late := 0
		for _, o := range l.forTime(t, 2*time.Minute) {
			if o.late {
				late++
			}
			require.Equal(t, o.late, !o.OK)
			require.False(t, o.again)
		}
		require.Equal(t, 1, late)
	})
	require.False(t, tardy(250*time.Millisecond, 250*time.Millisecond))
	require.False(t, tardy(300*time.Millisecond, 250*time.Millisecond))
	require.True(t, tardy(320*time.Millisecond, 250*time.Millisecond))
	require.True(t, tardy(13*time.Second, 10*time.Second))
}

// After the process slept its targets go on in their rhythm: they are not probed all at once.
func TestRhythmOutlastsSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(250*time.Millisecond, good)
		report := l.report
		slept := false
		l.report = func(outcomes []outcome) {
			report(outcomes)
			if !slept {
				slept = true
				time.Sleep(10500 * time.Millisecond)
			}
		}
		l.set([]*Target{target(time.Second)})
		outcomes := l.forTime(t, 15*time.Second)
		require.Equal(t, 11*time.Second, outcomes[1].at.Sub(outcomes[0].at))
	})
}

// An error of this machine is no failure, and so asks for no second probe.
func TestOwnErrorsAskForNoSecondProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(250*time.Millisecond, func(context.Context, *Target) Result { return Result{Err: errors.New("no socket")} })
		l.set([]*Target{target(time.Second)})
		require.Len(t, l.forTime(t, 10*time.Second), 10)
	})
}

func TestTargetsChangeWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(100*time.Millisecond, good)
		stays, goes, comes := target(time.Second), target(time.Second), target(time.Second)
		l.set([]*Target{stays, goes})
		time.AfterFunc(10*time.Second, func() { l.set([]*Target{stays, comes}) })
		count := map[*Target]int{}
		for _, o := range l.forTime(t, 15*time.Second) {
			count[o.target]++
		}
		require.Equal(t, map[*Target]int{stays: 15, goes: 10, comes: 5}, count, "and the rhythm of the one that stays goes on")
	})
}
