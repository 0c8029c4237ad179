package failover

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func shiftRules() Rules {
	rules := DefaultRules()
	rules.IDCs = map[string]IDC{"idc1": {Weight: 50, CapacityPercent: 100}, "idc2": {Weight: 50, CapacityPercent: 100}}
	return rules
}

// beginCanary is begin where idc1 has all traffic without a shift.
func beginCanary(t *testing.T, request PlanRequest) *Plan {
	t.Helper()
	rules := shiftRules()
	rules.IDCs = map[string]IDC{"idc1": {Weight: 100, CapacityPercent: 100}, "idc2": {Weight: 0, CapacityPercent: 100}}
	p, err := ParsePlan(request, rules, noon)
	require.NoError(t, err)
	p.Succeed(noon, nil)
	return p
}

func percentOf(v float64) *float64 { return &v }

// begin makes a plan of a request and begins it at noon.
func begin(t *testing.T, request PlanRequest) *Plan {
	t.Helper()
	p, err := ParsePlan(request, shiftRules(), noon)
	require.NoError(t, err)
	p.Succeed(noon, nil)
	return p
}

func ramp(abort *AbortIf) PlanRequest {
	ten := Span(10 * time.Minute)
	return PlanRequest{
		To: map[string]float64{"idc2": 90}, For: Span(2 * time.Hour), AbortIf: abort,
		Steps: []StepRequest{{Percent: percentOf(1), For: ten}, {Percent: percentOf(5), For: ten}, {Percent: percentOf(60), For: ten}},
	}
}

// asked are the hundredths of a percent that a plan asks for idc2's entry.
func asked(p *Plan, at time.Time) uint32 { return p.Shift(at).Entry["idc2"] }

// traffic is a second of what entered an IDC.
func traffic(idc string, at time.Time, requests, failures uint64, p99 float64) probes.Evidence {
	return probes.Evidence{Subject: "idc/" + idc + "/entry", IDC: idc, At: at, Traffic: &probes.Traffic{
		Over: time.Second, Requests: requests, Failures: failures, Flags: map[string]uint64{"UF": failures},
		Bounds: []float64{p99 / 2, p99, math.Inf(1)}, Durations: []uint64{0, requests, requests},
		Callers: map[string]uint64{"192.0.2.1": requests},
	}}
}

// play advances a plan second by second, with evidence if there is any, and returns what it told.
func playPlan(p *Plan, from time.Time, seconds int, evidence func(at time.Time) []probes.Evidence) (told []string) {
	for i := range seconds {
		at := from.Add(time.Duration(i) * time.Second)
		if evidence != nil {
			for _, e := range evidence(at) {
				p.Observe(e)
			}
		}
		for _, e := range p.Step(at) {
			told = append(told, e.At.Format(time.TimeOnly)+" "+e.What+": "+e.Why)
		}
	}
	return told
}

func TestPlanWeightsByTime(t *testing.T) {
	p := begin(t, ramp(nil))
	f := func(after time.Duration, want uint32, state PlanState) {
		t.Helper()
		p.Step(noon.Add(after))
		require.Equal(t, want, asked(p, noon.Add(after)))
		require.Equal(t, state, p.State)
	}
	f(0, 100, Running)
	f(9*time.Minute+59*time.Second, 100, Running)
	f(10*time.Minute, 500, Running)
	f(20*time.Minute, 6000, Running)
	f(30*time.Minute, 9000, Holding)
	require.Equal(t, noon.Add(2*time.Hour), p.Next())
	f(2*time.Hour-time.Second, 9000, Holding)
	f(2*time.Hour, 0, Done)
	require.Equal(t, Shift{}, p.Shift(noon.Add(2*time.Hour)))
}

// A gateway that was down does not make up for the steps it missed, but keeps the end.
func TestPlanOverARestart(t *testing.T) {
	before := begin(t, ramp(nil))
	before.Step(noon.Add(10 * time.Minute))
	text, err := json.Marshal(before)
	require.NoError(t, err)
	after := func() *Plan {
		var p Plan
		require.NoError(t, json.Unmarshal(text, &p))
		return &p
	}

	p, back := after(), noon.Add(time.Hour)
	require.EqualValues(t, 500, asked(p, back))
	p.Step(back)
	require.EqualValues(t, 6000, asked(p, back))
	p.Step(back)
	require.EqualValues(t, 6000, asked(p, back), "each step has its time")

	p, back = after(), noon.Add(3*time.Hour)
	require.Equal(t, Shift{}, p.Shift(back), "it is over before Step says so")
	require.Len(t, p.Step(back), 1)
	require.Equal(t, Done, p.State)
}

func TestPlanAbortsOnWhatTheGainingIDCSees(t *testing.T) {
	f := func(abort AbortIf, bad probes.Evidence, want string) {
		t.Helper()
		p := beginCanary(t, ramp(&abort))
		well := func(at time.Time) []probes.Evidence {
			return []probes.Evidence{traffic("idc1", at, 1000, 900, 10), traffic("idc2", at, 20, 0, 10)}
		}
		playPlan(p, noon, 700, well)
		require.EqualValues(t, 500, asked(p, noon.Add(700*time.Second)), "what the losing IDC sees is not the plan's")
		told := playPlan(p, noon.Add(700*time.Second), 20, func(at time.Time) []probes.Evidence {
			bad.At = at
			return []probes.Evidence{bad}
		})
		require.Len(t, told, 1)
		require.Contains(t, told[0], "shift aborted: back to base weights: idc1 100 %, idc2 0 %: idc2: in the last 15s "+want)
		require.Equal(t, Aborted, p.State)
		require.Nil(t, p.Shift(noon).Entry)
	}
	ill := traffic("idc2", noon, 20, 10, 10)
	f(AbortIf{ErrorRatio: .05}, ill, "6.67 % of 300 requests failed, more than 5 %")
	f(AbortIf{Flags: map[string]float64{"UF": .1}}, ill, "13.3 % of 300 requests had UF, more than 10 %")
	f(AbortIf{P99: 800}, traffic("idc2", noon, 20, 0, 2000), "p99 of ")
}

// Few requests are judged over the whole step.
func TestPlanAbortsOnATrickle(t *testing.T) {
	p := beginCanary(t, ramp(&AbortIf{ErrorRatio: .05}))
	told := playPlan(p, noon, 600, func(at time.Time) []probes.Evidence {
		return []probes.Evidence{traffic("idc2", at, 1, uint64(at.Second()%10/9), 10)}
	})
	require.Len(t, told, 1)
	require.Contains(t, told[0], "12:01:39 shift aborted")
	require.Contains(t, told[0], "idc2: since 12:00:00 10 % of 100 requests failed, more than 5 %")
}

// A ramp that begins by lowering an IDC is about that one, and about those that carry more meanwhile.
func TestPlanWatchesWhoGains(t *testing.T) {
	f := func(request PlanRequest, want ...string) {
		t.Helper()
		require.Equal(t, want, begin(t, request).gaining())
	}
	f(ramp(nil), "idc1", "idc2")
	f(PlanRequest{To: map[string]float64{"idc2": 1}, For: Span(time.Hour)}, "idc1")
	f(PlanRequest{To: map[string]float64{"idc2": 100}, For: Span(time.Hour)}, "idc2")
	f(PlanRequest{To: map[string]float64{"idc2": 100}, For: Span(time.Hour), Steps: []StepRequest{{Percent: percentOf(0), For: Span(time.Minute)}}}, "idc1")
}

func TestPlanWaitsForTelemetry(t *testing.T) {
	p := beginCanary(t, ramp(&AbortIf{ErrorRatio: .05}))
	told := playPlan(p, noon, 3000, nil)
	require.Equal(t, []string{"12:10:00 waits with step 2 of 4: idc2: no request in the last 15s tells how it is"}, told)
	require.Equal(t, Waiting, p.State)
	require.EqualValues(t, 100, asked(p, noon.Add(time.Hour)))
	told = playPlan(p, noon.Add(3000*time.Second), 20, func(at time.Time) []probes.Evidence {
		return []probes.Evidence{traffic("idc2", at, 10, 0, 10)}
	})
	require.Len(t, told, 1)
	require.Contains(t, told[0], "12:50:09 step 2 of 4: idc1 95 %, idc2 5 %")
	// It ends in time, whatever it waits for.
	require.Contains(t, playPlan(p, noon.Add(2*time.Hour), 1, nil)[0], "shift done: back to base weights")
}

func TestPlanHeedsVerdicts(t *testing.T) {
	dead := map[string]Verdict{"idc/idc2/entry": {Health: Dead, Why: "5 of 5 probes failed"}}
	p := beginCanary(t, ramp(nil))
	require.Nil(t, p.Heed(noon, map[string]Verdict{"idc/idc1/entry": {Health: Dead}, "idc/idc2/mesh": {Health: Dead}}))
	events := p.Heed(noon, dead)
	require.Len(t, events, 1)
	require.Equal(t, "idc/idc2/entry is dead: 5 of 5 probes failed", events[0].Why)
	require.Equal(t, Aborted, p.State)

	// A drain is overruled while the other side is ill, and goes on then.
	drain := PlanRequest{To: map[string]float64{"idc1": 0}, For: Span(time.Hour)}
	require.Nil(t, begin(t, drain).Heed(noon, dead))
	drain.AbortIf = &AbortIf{ErrorRatio: .05}
	require.Len(t, begin(t, drain).Heed(noon, dead), 1)
	drain.Hard = true
	require.Nil(t, begin(t, drain).Heed(noon, dead))
}

// When a plan ends, what it replaced holds again until its own end: a canary to a drained IDC must not end in base weights.
func TestPlanGivesBackWhatItReplaced(t *testing.T) {
	drain := begin(t, PlanRequest{To: map[string]float64{"idc2": 0}, For: Span(4 * time.Hour), Why: "disks"})
	later := noon.Add(time.Hour)
	p, err := ParsePlan(PlanRequest{To: map[string]float64{"idc2": 1}, For: Span(time.Hour), AbortIf: &AbortIf{ErrorRatio: .05, MinRequests: 10}}, shiftRules(), later)
	require.NoError(t, err)
	p.By = "ann"
	events := p.Succeed(later, drain)
	require.Len(t, events, 2)
	require.Equal(t, "replaced by "+p.ID, events[0].Why)
	require.Equal(t, Event{
		At: later, Kind: "shift", Subject: p.ID, What: "shift begins: idc1 99 %, idc2 1 %", Who: "ann", Undoes: "idc1 100 %, idc2 0 %", Expires: p.Expires,
	}, events[1])
	require.EqualValues(t, 100, asked(p, later))

	p.Observe(traffic("idc2", later, 10, 10, 10))
	aborted := p.Step(later)[0]
	require.Equal(t, "idc1 99 %, idc2 1 %", aborted.Undoes)
	require.Contains(t, aborted.What, "shift aborted: back to idc1 100 %, idc2 0 %, as "+drain.ID+" asks")
	require.Equal(t, map[string]uint32{"idc1": xds.Whole, "idc2": 0}, p.Shift(later).Entry)
	require.Equal(t, noon.Add(4*time.Hour), p.Next())
	end := noon.Add(4 * time.Hour)
	require.Equal(t, Shift{}, p.Shift(end))
	back := p.Step(end)[0]
	require.Equal(t, "back to base weights: idc1 50 %, idc2 50 %", back.What)
	require.Equal(t, "idc1 100 %, idc2 0 %", back.Undoes)
	require.Empty(t, p.Step(end))
	require.Zero(t, p.Next())

	// Of the second abort it is a person's wish to have base weights.
	p, err = ParsePlan(PlanRequest{To: map[string]float64{"idc2": 1}, For: Span(time.Hour)}, shiftRules(), noon)
	require.NoError(t, err)
	p.Succeed(noon, begin(t, PlanRequest{To: map[string]float64{"idc2": 0}, For: Span(4 * time.Hour)}))
	require.Len(t, p.Abort(noon, "ann", "enough"), 1)
	require.EqualValues(t, xds.Whole, p.Shift(noon).Entry["idc1"])
	require.Equal(t, "ann", p.Abort(noon, "ann", "enough")[0].Who)
	require.Equal(t, Shift{}, p.Shift(noon))
	require.Nil(t, p.Abort(noon, "ann", "enough"))
}

// A ramp back to base weights needs no end, and ends the drain that it began with.
func TestPlanEndsWithBaseWeights(t *testing.T) {
	drain := begin(t, PlanRequest{To: map[string]float64{"idc2": 0}, For: Span(4 * time.Hour)})
	p, err := ParsePlan(PlanRequest{To: map[string]float64{"idc2": 50}, Steps: []StepRequest{{Percent: percentOf(1), For: Span(time.Minute)}}}, shiftRules(), noon)
	require.NoError(t, err)
	p.Succeed(noon, drain)
	require.EqualValues(t, 100, asked(p, noon))
	told := playPlan(p, noon, 70, nil)
	require.Len(t, told, 2)
	require.Equal(t, "12:01:00 shift done: back to base weights: idc1 50 %, idc2 50 %: base weights are reached", told[1])
	require.Equal(t, Shift{}, p.Shift(noon.Add(time.Minute)))
}

// While evidence can abort it a plan is looked at every second, however often somebody asks when.
func TestPlanIsLookedAtEverySecond(t *testing.T) {
	p := begin(t, ramp(&AbortIf{ErrorRatio: .05}))
	p.Step(noon)
	require.Equal(t, noon.Add(time.Second), p.Next())
	p.AbortIf = nil
	require.Equal(t, noon.Add(10*time.Minute), p.Next())
	p.Stage = 7 // of a file that somebody has written
	require.False(t, p.Active())
	require.Equal(t, Shift{}, p.Shift(noon))
}

// The configuration may change while the gateway is down.
func TestPlanOfOtherIDCs(t *testing.T) {
	p := begin(t, ramp(nil))
	p.Before = &Before{Shift: Shift{ID: "x", Entry: map[string]uint32{"idc1": 1, "idc2": xds.Whole - 1}}, Until: noon.Add(time.Hour)}
	require.Nil(t, p.Fit(noon, shiftRules()))
	rules := shiftRules()
	rules.IDCs = map[string]IDC{"idc1": {Weight: 70, CapacityPercent: 100}, "idc2": {Weight: 30, CapacityPercent: 100}}
	require.Nil(t, p.Fit(noon, rules))
	require.EqualValues(t, 7000, p.Base["idc1"])
	require.True(t, p.Active())
	rules.IDCs = map[string]IDC{"idc1": {Weight: 70, CapacityPercent: 100}, "idc3": {Weight: 30, CapacityPercent: 100}}
	events := p.Fit(noon, rules)
	require.Len(t, events, 1)
	require.Equal(t, "the configuration has other IDCs now: idc1, idc3", events[0].Why)
	require.Equal(t, Shift{}, p.Shift(noon))
	require.Nil(t, p.Fit(noon, rules))
}

func TestNoPlan(t *testing.T) {
	var p *Plan
	require.False(t, p.Active())
	require.Equal(t, Shift{}, p.Shift(noon))
	require.Nil(t, p.Step(noon))
	require.Nil(t, p.Abort(noon, "ann", ""))
	require.Nil(t, p.Heed(noon, nil))
	require.Zero(t, p.Next())
	require.Nil(t, p.Fit(noon, shiftRules()))
	p.Observe(traffic("idc1", noon, 1, 0, 1))
}
