package failover

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
)

// called is a cluster that callers try, told to a judge second by second.
type called struct {
	judge     *Judge
	random    *rand.Rand
	endpoints int
	callers   int
	rate      int // tries at each endpoint by each caller, a second
	fails     func(endpoint, caller int) float64
	skip      func(endpoint, caller int) bool // nil: all try all
	out       map[string]bool
	now       time.Time
}

func newCallers(endpoints, callers, rate int, fails func(endpoint, caller int) float64) *called {
	return &called{
		judge: NewJudge(twoIDCs(true), ""), random: rand.New(rand.NewPCG(7, uint64(endpoints))), endpoints: endpoints, callers: callers, rate: rate,
		fails: fails, out: map[string]bool{}, now: start,
	}
}

func endpointName(endpoint int) string { return fmt.Sprintf("endpoint/10.0.0.%d:8080", endpoint) }

// second tells what happened in a second, of which faults had a share.
func (f *called) second(share float64) {
	f.now = f.now.Add(time.Second)
	for endpoint := range f.endpoints {
		if f.out[endpointName(endpoint)] {
			continue
		}
		traffic := &probes.Traffic{Over: time.Second, Cluster: "web", Callers: map[string]uint64{}, Failing: map[string]uint64{}}
		for caller := range f.callers {
			if f.skip != nil && f.skip(endpoint, caller) {
				continue
			}
			name, failures := callerNames[caller], f.failures(share*f.fails(endpoint, caller))
			traffic.Callers[name] = uint64(f.rate)
			traffic.Requests += uint64(f.rate)
			traffic.Failures += failures
			if failures > 0 {
				traffic.Failing[name] = failures
			}
			if failures < uint64(f.rate) {
				traffic.Succeeded = f.now
			}
		}
		if traffic.Failures > 0 {
			traffic.Flags = map[string]uint64{"UF": traffic.Failures}
		}
		f.judge.Observe(probes.Evidence{Subject: endpointName(endpoint), IDC: "idc1", At: f.now, Next: 3 * time.Second, Traffic: traffic})
	}
}

var callerNames = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} // never changed

func (f *called) failures(p float64) (n uint64) {
	for range f.rate {
		if p > 0 && f.random.Float64() < p {
			n++
		}
	}
	return n
}

func (f *called) gray() (subjects []string) {
	for _, o := range f.judge.Opinions(f.now) {
		if o.Health != Healthy {
			subjects = append(subjects, o.Subject)
		}
	}
	return subjects
}

// One that fails half of all tries is known after two seconds, or as soon as there is enough to tell; and nobody else is blamed.
func TestGrayIsFound(t *testing.T) {
	f := func(endpoints, callers, rate int, failing, base float64, within int) {
		t.Helper()
		called := newCallers(endpoints, callers, rate, func(int, int) float64 { return base })
		for range 30 {
			called.second(1)
			require.Empty(t, called.gray())
		}
		called.fails = func(endpoint, _ int) float64 {
			if endpoint == 1 {
				return failing
			}
			return base
		}
		for after := 1; ; after++ {
			called.second(1)
			gray := called.gray()
			require.True(t, len(gray) == 0 || slices.Equal(gray, []string{endpointName(1)}), "%v", gray)
			if len(gray) == 0 && after <= within {
				continue
			}
			require.NotEmpty(t, gray, "1 of %d, %d callers of %d: after %d s", endpoints, callers, rate, within)
			t.Logf("1 of %d, %d callers of %d/s, %v %% fail (%v %% elsewhere): after %d s: %s", endpoints, callers, rate, 100*failing, 100*base, after, called.opinion(1).Why)
			break
		}
		for range 60 { // it goes on failing, since nobody takes it out
			called.second(1)
			require.Equal(t, []string{endpointName(1)}, called.gray())
		}
	}
	f(2, 2, 125, 0.5, 0, 2)
	f(2, 4, 60, 0.5, 0.01, 2)
	f(2, 2, 125, 1, 0, 2)
	f(20, 2, 12, 0.5, 0, 2)
	f(20, 5, 5, 0.5, 0.01, 3)
	f(100, 3, 3, 0.5, 0.01, 4)
	f(100, 10, 10, 0.5, 0.1, 2)
	f(3, 3, 100, 0.3, 0.01, 4)
	f(2, 10, 1, 0.5, 0, 16)
}

// Callers to whom nothing succeeds anywhere, and who try again and again, hide nobody from the others.
func TestGrayIsFoundBesideBrokenCallers(t *testing.T) {
	f := func(endpoints, callers, broken, rate, within int) {
		t.Helper()
		called := newCallers(endpoints, callers, rate, func(_, caller int) float64 {
			if caller < broken {
				return 1
			}
			return 0
		})
		others := called.fails
		for range 30 {
			called.second(1)
			require.Empty(t, called.gray())
		}
		called.fails = func(endpoint, caller int) float64 {
			return max(others(endpoint, caller), 0.5*float64(1-min(endpoint, 1)))
		}
		for range within {
			called.second(1)
		}
		require.Equal(t, []string{endpointName(0)}, called.gray())
		t.Log(called.opinion(0).Why)
	}
	f(2, 3, 1, 100, 2)
	f(2, 10, 8, 100, 2)
	f(20, 5, 2, 20, 2)
}

func (f *called) opinion(endpoint int) Opinion {
	for _, o := range f.judge.Opinions(f.now) {
		if o.Subject == endpointName(endpoint) {
			return o
		}
	}
	return Opinion{}
}

// What is the trouble of somebody else is not the endpoint's.
func TestNobodyIsGray(t *testing.T) {
	f := func(name string, endpoints, callers, rate int, fails func(endpoint, caller int) float64, skip func(endpoint, caller int) bool) {
		t.Helper()
		called := newCallers(endpoints, callers, rate, func(int, int) float64 { return 0.01 })
		called.skip = skip
		for second := range 120 {
			if second == 30 {
				called.fails = fails
			}
			called.second(1)
			require.Empty(t, called.gray(), "%s, second %d: %s", name, second, called.opinion(0).Why)
		}
	}
	only := func(e, c int, p float64) func(endpoint, caller int) float64 {
		return func(endpoint, caller int) float64 {
			if (e < 0 || endpoint == e) && (c < 0 || caller == c) {
				return p
			}
			return 0.01
		}
	}
	f("all fail alike", 20, 5, 10, only(-1, -1, 0.5), nil)
	f("all fail always", 2, 5, 50, only(-1, -1, 1), nil)
	f("a caller's network is broken", 20, 5, 20, only(-1, 0, 1), nil)
	f("one of two callers' network is broken", 2, 2, 100, only(-1, 0, 0.7), nil)
	f("a caller's path to one endpoint is broken", 20, 5, 20, only(0, 0, 1), nil)
	f("one of two callers' path to one of two is broken", 2, 2, 100, only(0, 0, 1), nil)
	f("the only caller", 2, 1, 200, only(0, -1, 0.5), nil)
	f("the only endpoint", 1, 5, 200, only(0, -1, 0.5), nil)
	f("a zone's callers have broken networks, and try only endpoints of their zone", 10, 10, 20,
		func(_, caller int) float64 { return 0.01 + 0.9*float64(caller%2) },
		func(endpoint, caller int) bool { return endpoint%2 != caller%2 })
	f("a little more than the others", 20, 5, 100, only(0, -1, 0.1), nil)
	f("each its own endpoint", 5, 5, 50, func(endpoint, _ int) float64 { return float64(endpoint) / 5 }, func(endpoint, caller int) bool { return endpoint != caller })
}

// A moment's trouble is over before anybody could act on it, also beside a caller that is always in trouble.
func TestGrayTakesMoreThanAMoment(t *testing.T) {
	for broken := range 2 {
		moment := false
		called := newCallers(10, 5, 20, func(endpoint, caller int) float64 {
			if caller < broken || moment && endpoint == 0 {
				return 1
			}
			return 0
		})
		for second := range 60 {
			moment = second%10 == 5
			called.second(1)
			require.Empty(t, called.gray(), second)
		}
	}
}

// Noise makes no verdict: in a day of two endpoints, and in a tenth of that of each of many.
func TestNoiseIsNotGray(t *testing.T) {
	f := func(endpoints, callers, rate int, base float64) {
		t.Run(fmt.Sprintf("%d endpoints, %v %%", endpoints, 100*base), func(t *testing.T) {
			t.Parallel()
			called := newCallers(endpoints, callers, rate, func(int, int) float64 { return base })
			seconds := 2 * 86_400 / endpoints
			if testing.Short() {
				seconds /= 10
			}
			for second := range seconds {
				called.second(1)
				called.judge.mesh.judge(called.now)
				for _, e := range called.judge.mesh.sorted {
					if e.Health != Healthy {
						t.Fatalf("second %d: %s", second, e.Why)
					}
				}
			}
		})
	}
	f(2, 3, 5, 0.01)
	f(2, 3, 5, 0.1)
	f(20, 3, 1, 0.1)
	f(20, 3, 1, 0.5)
	f(100, 2, 1, 0.01)
	f(100, 2, 1, 0.1)
}

// The bound is never below the exact chance, and not far above it where it matters.
func TestSurpriseBoundsTheChance(t *testing.T) {
	choose := func(n, k float64) float64 {
		a, _ := math.Lgamma(n + 1)
		b, _ := math.Lgamma(k + 1)
		c, _ := math.Lgamma(n - k + 1)
		return a - b - c
	}
	exact := func(s stratum) float64 { // hypergeometric, as Fisher's test has it
		p := 0.0
		for x := s.failures; x <= min(s.tries, s.allFailures); x++ {
			if s.allFailures-x <= s.allTries-s.tries {
				p += math.Exp(choose(s.tries, x) + choose(s.allTries-s.tries, s.allFailures-x) - choose(s.allTries, s.allFailures))
			}
		}
		return p
	}
	f := func(s stratum) (bound, chance float64) {
		var c comparison
		c.add(s)
		bound, chance = c.surprise(), -math.Log(exact(s))
		require.LessOrEqual(t, bound, chance+1e-6, "%+v", s)
		return bound, chance
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		all := 2 + random.IntN(400)
		s := stratum{allTries: float64(all), tries: float64(1 + random.IntN(all-1)), allFailures: float64(random.IntN(all + 1))}
		least := max(0, int(s.tries+s.allFailures)-all)
		s.failures = float64(least + random.IntN(int(min(s.tries, s.allFailures))-least+1))
		f(s)
	}
	for _, s := range []stratum{{50, 25, 100, 25}, {10, 5, 200, 5}, {50, 25, 100, 30}} {
		bound, chance := f(s)
		t.Logf("%+v: bound %.1f, exact %.1f nats", s, bound, chance)
		require.Greater(t, bound, chance/2)
	}
}
