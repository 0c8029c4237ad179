package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// graysEnv says at how many requests a second to each cluster gray endpoints are looked for, one after the other: LOCKKEEPER_TEST_GRAYS=20,100,500.
// What is too few is logged.
const graysEnv = "LOCKKEEPER_TEST_GRAYS"

// grayClusters are of two and of twenty endpoints, for each of these kinds of failure.
func grayClusters(kinds ...string) (two, twenty []grayCluster) {
	for _, how := range kinds {
		two, twenty = append(two, grayCluster{how + "-2", how, 2}), append(twenty, grayCluster{how + "-20", how, 20})
	}
	return two, twenty
}

// One endpoint fails half of all tries, behind Envoy's retries: real Envoys with certificates tell of it, and are told to drain it. Nobody else is
// drained, whoever has trouble or forges.
func TestGrayEndpointsAndEnvoys(t *testing.T) {
	needsEnvoy(t)
	two, twenty := grayClusters("UF", "UC", "5xx")
	f := startGrayFleet(t, append(two, twenty...)...)
	f.call(t, "shop-1", "shop-1")
	f.call(t, "shop-2", "shop-2")
	f.call(t, "shop-3", "shop-3")
	f.call(t, "forger-1", "shop-1")
	f.call(t, "forger-2", "shop-2")
	callers := []string{"shop-1", "shop-2", "shop-3"}
	quiet := f.load(t, 50, append(two, twenty...), callers)
	f.nobody(t, callers[0], "forger-1", "forger-2")
	quiet.end(t, "50/s to each cluster, and others in trouble")
	atTwo, atTwenty := f.load(t, 100, two, callers), f.load(t, 250, twenty, callers)
	f.graysAre(t, "100/s to 2, 250/s to 20", true)
	atTwo.end(t, "100/s to 2")
	atTwenty.end(t, "250/s to 20")
}

// How long it takes at other rates.
func TestGrayRates(t *testing.T) {
	needsEnvoy(t)
	for text := range strings.SplitSeq(os.Getenv(graysEnv), ",") {
		if text == "" {
			t.Skip("takes minutes: ", graysEnv, "=20,100,500 says at which rates")
		}
		t.Run(text, func(t *testing.T) {
			rate, err := strconv.ParseFloat(text, 64)
			require.NoError(t, err)
			two, twenty := grayClusters("UC")
			f := startGrayFleet(t, append(two, twenty...)...)
			callers := []string{"shop-1", "shop-2", "shop-3"}
			for _, name := range callers {
				f.call(t, name, name)
			}
			l := f.load(t, rate, append(two, twenty...), callers)
			f.known(t)
			f.graysAre(t, text+"/s", false)
			l.end(t, text+"/s to each cluster")
		})
	}
}

// known waits until the gateway knows all endpoints.
func (f *grayFleet) known(t *testing.T) {
	t.Helper()
	wait(t, "all endpoints to be known", func() bool {
		var s failoverState
		getJSON(t, "http://"+f.console+"/api/v1/failover?subject=endpoint/", &s)
		healthy := 0
		for _, one := range s.Subjects {
			if one.Health == "healthy" {
				healthy++
			}
		}
		return healthy == len(f.apps)
	})
}

// suffered waits until the endpoints have failed so often, for some seconds at least, and nobody was drained for it.
func (f *grayFleet) suffered(t *testing.T, what string, times int64, apps ...*grayApp) {
	t.Helper()
	began := time.Now()
	for _, a := range apps {
		a.failed.Store(0)
	}
	few := func(a *grayApp) bool { return a.failed.Load() < times }
	wait(t, what, func() bool { return time.Since(began) > 3*time.Second && !slices.ContainsFunc(apps, few) })
	require.Empty(t, f.serving(t).Out, what)
	require.Empty(t, f.events(t, "ejected"), what)
}

// nobody is drained for the trouble of others.
func (f *grayFleet) nobody(t *testing.T, caller string, forgers ...string) {
	only := func(names ...string) func(string) float64 {
		return func(caller string) float64 {
			if slices.Contains(names, caller) {
				return 1
			}
			return 0
		}
	}
	all := func(share func(string) float64) {
		for _, a := range f.apps {
			a.fail(share)
		}
	}
	f.known(t)
	all(only(caller))
	f.suffered(t, "a caller's own network is broken", 10, f.apps...)
	all(half)
	f.suffered(t, "all endpoints fail alike", 10, f.apps...)
	all(nil)
	victim := f.apps[0]
	victim.fail(only(forgers...))
	forged := f.load(t, 100, []grayCluster{victim.grayCluster}, forgers)
	f.suffered(t, "forged nodes", 100, victim)
	forged.end(t, "forged nodes")
	require.GreaterOrEqual(t, f.metric(t, "lockkeeper_endpoint_untrusted_total"), 2.0)
	victim.fail(nil)
}

// graysAre makes one endpoint of each cluster gray, and sees it drained. Half of them are well when they return, the others are drained again at once,
// and return when they are well. Else at least nobody else is drained.
func (f *grayFleet) graysAre(t *testing.T, load string, all bool) {
	var grays []*grayApp
	for i, a := range f.apps {
		if i == 0 || f.apps[i-1].name != a.name {
			grays = append(grays, a)
		}
	}
	began := time.Now()
	stops := map[*grayApp]func(){}
	for _, a := range grays {
		stops[a] = a.gray(t)
	}
	out := f.drained(t, grays, began, load)
	require.True(t, !all || len(out) == len(grays), "gray is %d of %d", len(out), len(grays))
	var sick []*grayApp // as more than 10 must not be taken out in a minute
	for i, a := range out {
		if i%2 == 0 {
			sick = append(sick, a)
		} else {
			stops[a]()
		}
	}
	returned := f.turned(t, "returned", sick, began)
	for i, again := range f.turned(t, "ejected", sick, returned...) {
		t.Logf("%s, %s: returned %.1f s after the fault, and was out again after %.1f s", load, sick[i].name, returned[i].Sub(began).Seconds(), again.Sub(returned[i]).Seconds())
		stops[sick[i]]()
	}
	wait(t, "all to be back", func() bool { return len(f.serving(t).Out) == 0 })
	f.known(t)
	f.toldOf(t, out)
	for _, e := range f.events(t, "ejected") {
		require.True(t, slices.ContainsFunc(grays, func(a *grayApp) bool { return e.Subject == "endpoint/"+a.address }), "it was well: %+v", e)
	}
}

// drained waits until all of them are drained, or for a minute, and logs when each had its last request. It returns those that are.
func (f *grayFleet) drained(t *testing.T, grays []*grayApp, began time.Time, load string) (drained []*grayApp) {
	t.Helper()
	out := map[*grayApp]time.Time{}
	for len(drained) < len(grays) && time.Since(began) < patience {
		now, serving := time.Now(), f.serving(t)
		for _, a := range grays {
			o, is := serving.Out["endpoint/"+a.address]
			last := time.Unix(0, a.last.Load())
			switch seen, was := out[a]; {
			case is && !was:
				require.True(t, o.Drain)
				require.Contains(t, o.Why, a.how)
				out[a] = now
				t.Logf("%s, %s: %s", load, a.name, o.Why)
			case was && !slices.Contains(drained, a) && now.Sub(seen) > time.Second && now.Sub(last) > time.Second: // long before it returns
				drained, a.left = append(drained, a), last
				t.Logf("%s, %s: the last request %.1f s after the fault", load, a.name, last.Sub(began).Seconds())
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return drained
}

// turned waits for such an event of each of the endpoints, after a time or after one of each, and tells when they were.
func (f *grayFleet) turned(t *testing.T, kind string, apps []*grayApp, after ...time.Time) []time.Time {
	t.Helper()
	at := make([]time.Time, len(apps))
	wait(t, "all to be "+kind, func() bool {
		for _, e := range f.events(t, kind) {
			for i, a := range apps {
				if e.Subject == "endpoint/"+a.address && e.At.After(after[i%len(after)]) && at[i].IsZero() {
					at[i] = e.At
				}
			}
		}
		return !slices.ContainsFunc(at, time.Time.IsZero)
	})
	return at
}
