package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func twoIDCs(act bool) Rules {
	r := DefaultRules()
	r.IDCs = map[string]IDC{"idc1": {Weight: 50, CapacityPercent: 100}, "idc2": {Weight: 50, CapacityPercent: 100}}
	r.Act = map[string]bool{"idc": act, "machine": act, "endpoint": act}
	return r
}

func entries(d Decision) map[string]uint32 {
	weights := map[string]uint32{}
	for name, idc := range d.Serving.IDCs {
		weights[name] = idc.Entry
	}
	return weights
}

// An IDC's entry dies: five failures in a row, and the other one serves; it comes back when it has been clean, in steps.
func TestEntryDiesAndReturns(t *testing.T) {
	rules := twoIDCs(true)
	require.NoError(t, rules.Validate())
	judge := NewJudge(rules, "")
	var d Decision
	was := map[string]uint32{}
	var got []string
	for second := range 200 {
		now := start.Add(time.Duration(second) * time.Second)
		for _, idc := range []string{"idc1", "idc2"} {
			judge.Observe(probes.Evidence{
				Subject: "idc/" + idc + "/entry", IDC: idc, Probe: "p", At: now, Next: 2 * time.Second,
				OK: idc == "idc2" || second < 10 || second >= 20, Reason: "connection refused",
			})
		}
		d = rules.Decide(Input{Now: now, Opinions: judge.Opinions(now), Before: d})
		require.EqualValues(t, xds.Whole, d.Serving.IDCs["idc1"].Entry+d.Serving.IDCs["idc2"].Entry)
		if entry := entries(d); entry["idc1"] != was["idc1"] {
			got = append(got, now.Format(time.TimeOnly)+" "+percent(entry["idc1"])+" "+d.Serving.IDCs["idc1"].Why)
			was = entry
		}
	}
	require.Equal(t, []string{
		"12:00:00 50 % base weight",
		"12:00:14 0 % idc1 entry is dead since 12:00:14 UTC: p: 5 in a row failed: connection refused",
		"12:01:20 12.5 % idc1 entry is back: its weight comes back in steps",
		"12:01:50 25 % idc1 entry is back: its weight comes back in steps",
		"12:02:20 50 % base weight",
	}, got)
}

// What would have been taken out in mode observe is not, because the gateway begins again in mode act: only evidence of now takes anything out.
func TestModeChangesOverARestart(t *testing.T) {
	const dead, idle = "idc/idc2/entry", "machine/m1"
	opinions := []Opinion{
		{Subject: "idc/idc1/entry", IDC: "idc1", Health: Healthy, Since: start},
		{Subject: dead, IDC: "idc2", Health: Dead, Since: start},
		{Subject: idle, IDC: "idc1", Health: Dead, Since: start},
		{Subject: "machine/m2", IDC: "idc1", Health: Healthy, Since: start},
	}
	observed := twoIDCs(false).Decide(Input{Now: start, Opinions: opinions})
	require.True(t, observed.Verdict[dead].Down)
	require.Contains(t, observed.Would.Out, idle)
	begun := twoIDCs(true).Decide(Input{Now: start.Add(time.Second), Before: Loaded(observed)})
	require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, entries(begun))
	require.Empty(t, begun.Serving.Out)
	acted := twoIDCs(true).Decide(Input{Now: start.Add(2 * time.Second), Opinions: opinions, Before: begun})
	require.Equal(t, map[string]uint32{"idc1": 10_000, "idc2": 0}, entries(acted))
	require.Contains(t, acted.Serving.Out, idle)
}

// A decision of others comes before the opinions that it is made of: it counts until they are here, or for a moment.
func TestDecisionsOvertakeOpinions(t *testing.T) {
	rules := twoIDCs(true)
	rules.Sites = threeSites()
	died := start.Add(time.Minute)
	opinion := func(site string, health Health, since time.Time) Opinion {
		return Opinion{Subject: "idc/idc1/entry", IDC: "idc1", Site: site, Health: health, Since: since}
	}
	f := func(want uint32, after time.Duration, agreed Verdict, opinions ...Opinion) {
		t.Helper()
		for _, site := range []string{"berlin", "tokyo", "outside"} {
			opinions = append(opinions, Opinion{Subject: "idc/idc2/entry", IDC: "idc2", Site: site, Health: Healthy, Since: start})
		}
		d := rules.Decide(Input{Now: died.Add(after), Opinions: opinions, Agreed: map[string]Verdict{"idc/idc1/entry": agreed}})
		require.Equal(t, want, entries(d)["idc1"])
		require.Empty(t, d.Falls["idc/idc1/entry"])
		if after < hearsay {
			require.Equal(t, died.Add(hearsay), d.Next)
		}
	}
	b, o := opinion("berlin", Healthy, start), opinion("outside", Healthy, start)
	dead := Verdict{IDC: "idc1", Health: Dead, Since: died, Down: true, Out: true}
	// two see it dead, and one of them is not heard of yet: it stays out
	f(0, 50*time.Millisecond, dead, b, o, opinion("tokyo", Dead, died))
	// they never say so: what is known here counts
	f(1250, hearsay, dead, b, o, opinion("tokyo", Dead, died))
	// it has been put back, and who sees it well is not heard of yet: it stays in
	well := Verdict{IDC: "idc1", Health: Healthy, Since: died}
	f(5000, 50*time.Millisecond, well, b, opinion("outside", Dead, start), opinion("tokyo", Dead, start))
}
