package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// All mistakes are named at once, each with its path.
func TestRulesValidate(t *testing.T) {
	require.NoError(t, DefaultRules().Validate())
	bad := Rules{
		IDCs:       map[string]IDC{"a/b": {Weight: -1, CapacityPercent: 100}, "c": {Weight: 60}},
		Act:        map[string]bool{"host": true, "dns": true},
		Thresholds: map[string]Threshold{"idc": {}, "host": {Unhealthy: 1, Healthy: 1}},
		Combine:    map[string]Combine{"host": 1, "idc": -1},
		Safety:     Safety{MaxEjectionPercent: 101},
		Sites:      map[string]string{"berlin": "idc9"},
	}
	err := bad.Validate()
	for _, want := range []string{
		"idcs: \"a/b\" is no name", "idcs::a/b::weight: must be from 0 to 100", "idcs::c::capacity_percent", "idcs: the weights must sum to 100 percent; they sum to 59",
		"mode::host: no such kind", "mode::dns: cannot act", "thresholds::idc::unhealthy", "thresholds::idc::healthy", "thresholds::host: no such kind",
		"combine::host: no such kind", "combine::idc: must be all, any", "safety::max_ejection_percent", "safety::freeze_percent", `sites::berlin: "idc9"`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestBaseSumsToWhole(t *testing.T) {
	f := func(want map[string]uint32, weights map[string]float64) {
		t.Helper()
		r := DefaultRules()
		r.IDCs = map[string]IDC{}
		for name, weight := range weights {
			r.IDCs[name] = IDC{Weight: weight, CapacityPercent: 100}
		}
		require.NoError(t, r.Validate())
		require.Equal(t, want, r.Base())
	}
	f(map[string]uint32{"a": 5000, "b": 5000}, map[string]float64{"a": 50, "b": 50})
	// what rounding leaves goes to the first
	f(map[string]uint32{"a": 3334, "b": 3333, "c": 3333}, map[string]float64{"a": 33.33, "b": 33.33, "c": 33.33})
	f(map[string]uint32{"a": 0, "b": xds.Whole}, map[string]float64{"a": 0, "b": 100})
	require.Nil(t, DefaultRules().Base())
}

func TestCombine(t *testing.T) {
	f := func(text string, bad, good, all int, want Health) {
		t.Helper()
		var c Combine
		require.NoError(t, c.UnmarshalText([]byte(text)))
		require.Equal(t, text, c.String())
		require.Equal(t, want, c.health(bad, good, all))
	}
	// all: one good one is enough
	f("all", 2, 1, 3, Healthy)
	f("all", 3, 0, 3, Dead)
	f("all", 2, 0, 3, Unknown)
	// any: one bad one is enough, and healthy is what all call so
	f("any", 1, 2, 3, Dead)
	f("any", 0, 2, 3, Unknown)
	f("any", 0, 3, 3, Healthy)
	// two of three; more than there are is all
	f("2", 1, 2, 3, Healthy)
	f("2", 2, 1, 3, Dead)
	f("2", 1, 1, 3, Unknown)
	f("7", 1, 0, 1, Dead)
	var c Combine
	require.ErrorContains(t, c.UnmarshalText([]byte("most")), `"most" is neither all, any nor a number`)
	require.Error(t, c.UnmarshalText([]byte("-1")))
}

// Evidence that is old, or from the future, or no word of a probe, does no harm.
func TestJudgeOddEvidence(t *testing.T) {
	judge := NewJudge(twoIDCs(true), "here")
	at := func(second int, ok bool) probes.Evidence {
		return probes.Evidence{Subject: "machine/a", IDC: "idc1", Probe: "ping", At: start.Add(time.Duration(second) * time.Second), Next: 2 * time.Second, OK: ok, Reason: "timeout"}
	}
	health := func(second int) Health {
		opinions := judge.Opinions(start.Add(time.Duration(second) * time.Second))
		require.Len(t, opinions, 1)
		require.Equal(t, "here", opinions[0].Site)
		return opinions[0].Health
	}
	for second := range 5 {
		judge.Observe(at(second, true))
	}
	require.Equal(t, Healthy, health(4))
	// older than the last, again and again
	for range 5 {
		require.False(t, judge.Observe(at(3, false)))
	}
	// the mesh's
	traffic := at(5, false)
	traffic.Traffic = &probes.Traffic{}
	require.False(t, judge.Observe(traffic))
	require.Equal(t, Healthy, health(5))
	// from the next hour: what follows still counts
	judge.Observe(at(3600, true))
	require.Equal(t, Unknown, health(6), "nothing is known now")
	for second := 7; second < 10; second++ {
		judge.Observe(at(second, false))
	}
	require.Equal(t, Dead, health(9))
	require.Equal(t, start.Add(11*time.Second+time.Nanosecond), judge.Next())
	require.Equal(t, Unknown, health(12), "silent")
	require.Equal(t, Unknown, health(3600))
	require.Empty(t, judge.Opinions(start.Add(2*time.Hour)), "forgotten")
	require.Zero(t, judge.Next())
}

// A decision that does not change makes no lines; what was kept over a restart is provisional.
func TestChangesAndLoaded(t *testing.T) {
	rules := twoIDCs(true)
	opinions := []Opinion{
		{Subject: "machine/a", IDC: "idc1", Health: Dead, Since: start, Why: "ping: 3 in a row failed: timeout"},
		{Subject: "machine/b", IDC: "idc1", Health: Healthy, Since: start},
	}
	d := rules.Decide(Input{Now: start, Opinions: opinions})
	require.Empty(t, Changes(d, rules.Decide(Input{Now: start.Add(time.Minute), Opinions: opinions, Before: d})))
	events := Changes(Decision{}, d)
	require.Equal(t, Event{
		At: start, Kind: "ejected", Subject: "machine/a", What: "taken out: removed", Why: "dead since 12:00:00 UTC: ping: 3 in a row failed: timeout",
	}, events[1])
	loaded := Loaded(d)
	require.True(t, loaded.Verdict["machine/a"].Provisional)
	require.False(t, loaded.Verdict["machine/b"].Provisional)
	require.False(t, d.Verdict["machine/a"].Provisional, "the decision itself is not changed")
	require.Equal(t, start.Add(time.Hour), rules.Next(d, []Hold{{Until: start.Add(time.Hour)}}))

	// What was dead while it was only observed is taken out by the mode act of the next start when it is seen dead again, and not before.
	observed := Loaded(twoIDCs(false).Decide(Input{Now: start, Opinions: opinions}))
	opinions[0].Health = Unknown
	require.False(t, rules.Decide(Input{Now: start.Add(time.Second), Opinions: opinions, Before: observed}).Verdict["machine/a"].Out)
	opinions[0].Health = Dead
	require.True(t, rules.Decide(Input{Now: start.Add(time.Minute), Opinions: opinions, Before: observed}).Verdict["machine/a"].Out)
}
