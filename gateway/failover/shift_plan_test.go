package failover

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

// Whatever is asked and whenever, weights sum to the whole.
func TestPlanWeightsAlwaysSum(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 7))
	names := []string{"a", "b", "c", "d", "e"}
	plans := 0
	for range 20_000 {
		rules := shiftRules()
		rules.IDCs = map[string]IDC{}
		for _, name := range names[:1+random.IntN(len(names))] {
			rules.IDCs[name] = IDC{Weight: float64(random.IntN(100)), CapacityPercent: 100}
		}
		request := PlanRequest{To: map[string]float64{}, For: Span(time.Hour)}
		for _, name := range names[:random.IntN(len(rules.IDCs)+1)] {
			request.To[name] = float64(random.IntN(5000)) / 100
		}
		if random.IntN(2) == 0 {
			request.Steps = []StepRequest{{To: map[string]float64{"a": float64(random.IntN(10001)) / 100}, For: Span(time.Minute)}}
		}
		p, err := ParsePlan(request, rules, noon)
		if err != nil {
			continue
		}
		plans++
		p.Succeed(noon, nil)
		for _, at := range []time.Duration{0, time.Minute, 2 * time.Minute} {
			p.Step(noon.Add(at))
			total := uint32(0)
			for _, w := range p.Shift(noon.Add(at)).Entry {
				total += w
			}
			require.EqualValues(t, xds.Whole, total)
			require.Len(t, p.Shift(noon.Add(at)).Entry, len(rules.IDCs))
		}
	}
	require.Greater(t, plans, 5000)
}

// Whatever is asked, a plan that comes of it can be begun, goes on and ends, with whole weights.
func FuzzParsePlan(f *testing.F) {
	for _, seed := range []string{
		`{"to": {"idc2": 1}, "for": "30m", "why": "x"}`, `{"to": {"idc1": 100, "idc2": 0}, "for": "30m", "scope": "both", "hard": true}`,
		`{"to": {"idc2": 50}, "steps": [{"percent": 1, "for": "10m"}, {"to": {"idc1": 0.5}, "for": "1s"}], "force": true}`,
		`{"to": {"idc2": 1e300}, "for": "9999999h"}`, `{"to": {"idc2": -0.0}, "for": "1ns", "abort_if": {"flags": {"UF": 0.1}}}`, `{}`, `null`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var request PlanRequest
		if json.Unmarshal([]byte(text), &request) != nil {
			return
		}
		p, err := ParsePlan(request, shiftRules(), noon)
		if err != nil {
			return
		}
		p.Succeed(noon, nil)
		for at, i := noon, 0; p.Active(); i++ {
			whole := uint32(0)
			for _, weights := range []map[string]uint32{p.Shift(at).Entry, p.Shift(at).Mesh} {
				for _, weight := range weights {
					whole += weight
				}
			}
			require.Zero(t, whole%xds.Whole)
			require.Positive(t, whole)
			require.Less(t, i, 10+maxShiftSteps, "it never ends: %s", text)
			at = at.Add(max(maxShift/100, p.Next().Sub(at)))
			if p.Expires.IsZero() && p.AbortIf != nil {
				return // it waits for telemetry
			}
			p.Step(at)
		}
		_, err = json.Marshal(p)
		require.NoError(t, err)
	})
}

func TestParsePlanReportsAllMistakes(t *testing.T) {
	f := func(request string, want ...string) {
		t.Helper()
		rules := shiftRules()
		rules.IDCs["idc2"] = IDC{Weight: 50, CapacityPercent: 60}
		var asks PlanRequest
		require.NoError(t, json.Unmarshal([]byte(request), &asks))
		_, err := ParsePlan(asks, rules, noon)
		if len(want) == 0 {
			require.NoError(t, err)
			return
		}
		require.Error(t, err)
		require.Equal(t, strings.Join(want, "\n"), err.Error())
	}
	f(`{"to": {"idc2": 1}, "for": "30m"}`)
	f(`{"to": {"idc2": 0.5}, "for": "30m"}`)
	f(`{"to": {"idc1": 100, "idc2": 0}, "for": "30m", "scope": "both", "hard": true}`)
	f(`{"to": {"idc2": 90}, "for": "30m", "force": true}`)
	f(`{"to": {"idc2": 50}, "steps": [{"percent": 1, "for": "10m"}]}`)
	f(`{"to": {"idc2": 5}, "steps": [{"percent": 1, "for": "10m"}, {"percent": 5, "for": "10m"}]}`)

	f(`{"for": "30m"}`, "to: name an IDC and its percent, such as idc2=1; there are idc1, idc2")
	f(`{"to": {"idc9": 1, "idc2": -1}, "for": "30m"}`,
		"to::idc2: -1: must be 0 to 100 percent", "to::idc9: no such IDC; there are idc1, idc2")
	f(`{"to": {"idc2": 101}, "for": "30m"}`, "to::idc2: 101: must be 0 to 100 percent")
	f(`{"to": {"idc2": 0.001}, "for": "30m"}`, "to::idc2: 0.001: finer than 0.01 percent")
	f(`{"to": {"idc1": 50, "idc2": 40.5}, "for": "30m"}`, "to: sums to 90.5 percent, and all IDCs are named: must be 100")
	f(`{"to": {"idc2": 1}}`,
		"for: say how long, such as 30m: a shift always ends by itself, unless its last step is the base weights (idc1 50 %, idc2 50 %)")
	f(`{"to": {"idc2": 1}, "for": "-1m"}`, "for: -1m: must be above 0")
	f(`{"to": {"idc2": 1}, "for": "1000h"}`, "for: 1000h: 720h at most; for what stays, change the weights in the configuration")
	f(`{"to": {"idc2": 5}, "steps": [{"percent": 1}], "for": "1h"}`, "steps[0]::for: 0s: how long does it hold? 1s at least")
	f(`{"to": {"idc2": 5}, "steps": [{"percent": 1, "for": "2h"}], "for": "1h"}`, "for: it ends after 1h, before its last step begins after 2h")
	f(`{"to": {"idc2": 50}, "steps": [{"percent": 1, "for": "721h"}]}`, "steps: they take 721h: 720h at most")
	f(`{"to": {"idc2": 5}, "steps": [{"for": "2h"}], "for": "1h"}`, "steps[0]: say percent or to, one of both")
	f(`{"to": {"idc1": 60, "idc2": 40}, "steps": [{"percent": 1, "for": "1m"}], "for": "1h"}`,
		"steps[0]::percent: whose? It needs one IDC in to, which names 2: give the step a to of its own")
	f(`{"to": {"idc2": 90}, "for": "30m"}`,
		"step 1: idc2 would get 90 percent of all traffic and can carry 60 (idcs::idc2::capacity_percent): give it less, or force it")
	f(`{"to": {"idc2": 1}, "for": "30m", "scope": "all"}`, `scope: "all": must be entry, mesh or both`)
	f(`{"to": {"idc2": 1}, "for": "30m", "abort_if": {}}`, "abort_if: names no condition: error_ratio, flags or p99_ms")
	f(`{"to": {"idc2": 1}, "for": "30m", "scope": "mesh", "abort_if": {"error_ratio": 0.1}}`,
		"abort_if: what is measured is what enters an IDC: it needs scope entry or both")
	f(`{"to": {"idc2": 1}, "for": "30m", "abort_if": {"error_ratio": 5, "flags": {"UFF": 2}, "p99_ms": -1}}`,
		"abort_if::error_ratio: 5: must be between 0 and 1, such as 0.05",
		"abort_if::flags::UFF: 2: must be between 0 and 1, such as 0.01",
		"abort_if::flags::UFF: no response flag of Envoy's; they are"+strings.TrimRight(flagNames, " "),
		"abort_if::p99_ms: -1: must be above 0, and 3600000 at most")
	_, err := ParsePlan(PlanRequest{To: map[string]float64{"idc2": math.NaN()}, For: Span(time.Hour)}, shiftRules(), noon)
	require.EqualError(t, err, "to::idc2: NaN: must be 0 to 100 percent")
	require.ErrorContains(t, json.Unmarshal([]byte(`{"for": "soon"}`), &PlanRequest{}), `"soon" is no time: write it like 30s, 10m or 4h`)
}
