package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// shiftConsole answers as a gateway with two IDCs and this plan does, and keeps what was asked of it.
type shiftConsole struct {
	plan     *failover.Plan
	warnings []string
	entry    []failover.Measured
	asked    []string
}

func (c *shiftConsole) start(t *testing.T) string {
	rules := failover.DefaultRules()
	rules.IDCs = map[string]failover.IDC{"idc1": {Weight: 50, CapacityPercent: 100}, "idc2": {Weight: 50, CapacityPercent: 60}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, code int, body any) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
	mux.HandleFunc("GET "+shiftPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, shiftStatus{c.plan, c.plan.Active(), c.entry})
	})
	mux.HandleFunc("POST "+shiftPath, func(w http.ResponseWriter, r *http.Request) {
		c.asked = append(c.asked, "POST "+r.URL.RawQuery)
		var request failover.PlanRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		plan, err := failover.ParsePlan(request, rules, time.Now())
		switch {
		case err != nil:
			answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		case r.URL.Query().Get("dry_run") == "1":
			answer(w, http.StatusOK, map[string]any{"plan": plan, "warnings": c.warnings})
		case c.plan.Active() && !request.Replace:
			answer(w, http.StatusConflict, map[string]string{"error": c.plan.ID + " is under way"})
		default:
			plan.By = "ann"
			plan.Succeed(time.Now(), c.plan)
			c.plan = plan
			answer(w, http.StatusOK, changed{Plan: plan, Saved: false, Problem: "disk full"})
		}
	})
	mux.HandleFunc("DELETE "+shiftPath, func(w http.ResponseWriter, r *http.Request) {
		c.asked = append(c.asked, "DELETE "+r.URL.RawQuery)
		if len(c.plan.Abort(time.Now(), "ann", r.URL.Query().Get("why"))) == 0 {
			answer(w, http.StatusNotFound, map[string]string{"error": "no shift is under way"})
			return
		}
		answer(w, http.StatusOK, changed{Plan: c.plan, Saved: true})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestShiftPlan(t *testing.T) {
	c := &shiftConsole{}
	address := c.start(t)
	args := []string{
		"shift", "plan", "--url", address, "--to", "idc2=60", "--steps", "1,5,25%", "--each", "10m", "--for", "2h",
		"--abort-if", "error_ratio=5%,p99=800ms,UF=0.01",
	}
	_, out, _ := call(t, args...)
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	require.Len(t, lines, 10, out)
	require.Equal(t, "STEP FROM FOR IDC1 IDC2", lines[0])
	require.Equal(t, "now 50 % 50 % base weights", lines[1])
	require.Regexp(t, `^1 \d\d:\d\d:\d\d 10m 99 % 1 %$`, lines[2])
	require.Regexp(t, `^2 \d\d:\d\d:\d\d 10m 95 % 5 %$`, lines[3])
	require.Regexp(t, `^3 \d\d:\d\d:\d\d 10m 75 % 25 %$`, lines[4])
	require.Regexp(t, `^4 \d\d:\d\d:\d\d 1h30m 40 % 60 %$`, lines[5])
	require.Regexp(t, `^end \d\d:\d\d:\d\d 50 % 50 % base weights$`, lines[6])
	require.Equal(t, "Moves the weights of scope entry. An IDC with 0 % still serves when no other is healthy.", lines[8])
	require.Equal(t, "Aborts when errors > 5 % or UF > 1 % or p99 > 800 ms (of at least 100 requests), of what enters an IDC that gains. "+
		"A step waits when nothing tells.", lines[9])
	require.Equal(t, []string{"POST dry_run=1"}, c.asked)

	expectCall(t, 0, []string{"shift", "plan", "--url", address, "--to", "idc2=50", "--steps", "1", "--each", "1m", "--hard"},
		"good  50 %  50 %", "HARD: an IDC with 0 % gets nothing", "Nothing aborts it but a verdict")
	expectCall(t, 0, append(args, "-o", "json"), `{"plan":{"id":"shift-`)
	require.Nil(t, c.plan)

	// What is wrong is told by whoever knows, one mistake a line.
	expectCall(t, 2, []string{"shift", "plan", "--url", address, "--to", "idc2=x%", "--to", "idc1=9%", "--for", "1h"}, `--to "idc2=x%"`)
	expectCall(t, 2, []string{"shift", "plan", "--url", address, "--to", "idc2=1", "--for", "-1h", "--scope", "all"},
		"error: for: -1h: must be above 0\nerror: scope: \"all\": must be entry, mesh or both\n")
	expectCall(t, 2, []string{"shift", "plan", "--url", address, "--to", "idc2=90,idc9=1", "--for", "1h"}, "error: to::idc9: no such IDC; there are idc1, idc2\n")
	expectCall(t, 2, []string{"shift", "plan", "--url", address, "--to", "idc2=90", "--for", "1h"}, "idc2 would get 90 percent of all traffic and can carry 60")
	expectCall(t, 0, []string{"shift", "plan", "--url", address, "--to", "idc2=90", "--for", "1h", "--force"}, "10 %  90 %")
	expectCall(t, 2, []string{"shift", "plan", "--url", address, "--steps", "x,2", "--abort-if", "p99=fast,sun=1"},
		"error: --to: say how much", `error: --steps "x": must be percents`, "error: --steps and --each go together",
		`error: --abort-if "p99=fast": must be one of`, `error: --abort-if "sun=1": must be one of`)
	expectCall(t, 2, []string{"shift", "plan", "--url", address, "--to", "idc2", "--to", "idc1=1,idc1=2"}, `--to "idc2": must be like idc2=1`, "--to: idc1 is there twice")
	expectCall(t, 2, []string{"shift"}, "say what to do")
}

// Every flag that access logs can tell can abort a shift.
func TestShiftKnowsAllFlags(t *testing.T) {
	rules := failover.DefaultRules()
	rules.IDCs = map[string]failover.IDC{"idc1": {Weight: 50, CapacityPercent: 100}, "idc2": {Weight: 50, CapacityPercent: 100}}
	for _, e := range mesh.Explanations() {
		_, err := failover.ParsePlan(failover.PlanRequest{
			To: map[string]float64{"idc2": 1}, For: failover.Span(time.Hour), AbortIf: &failover.AbortIf{Flags: map[string]float64{e.Flag: .1}},
		}, rules, time.Now())
		require.NoError(t, err, e.Flag)
	}
}

func TestShiftApplyStatusAbort(t *testing.T) {
	c := &shiftConsole{}
	address := c.start(t)
	expectCall(t, 0, []string{"shift", "status", "--url", address}, "No shift is on", "Nothing tells what enters")
	expectCall(t, 1, []string{"shift", "abort", "--url", address}, "no shift is under way")
	apply := []string{"shift", "apply", "--url", address, "--to", "idc1=40", "--for", "4h"}
	expectCall(t, 0, append(apply, "--dry-run"), "40 %  60 %")
	require.Nil(t, c.plan)
	c.warnings = []string{"idc/idc1/entry is dead\x1b[2J: it gets nothing"}
	expectCall(t, 0, append(apply, "--why", "disks"), "40 %  60 %", "WARNING: idc/idc1/entry is dead?[2J: it gets nothing\n", " has begun. ", "warning: disk full: a restart of the gateway would forget it")
	require.Equal(t, []string{"DELETE ", "POST dry_run=1", "POST dry_run=1", "POST "}, c.asked)
	first := c.plan.ID

	measured := 12.5
	c.entry = []failover.Measured{
		{IDC: "idc1", Asked: 0, Measured: &measured, Requests: 600, Rate: 10, Failures: 6, Callers: []failover.Caller{{Address: "192.0.2.1\x1b[2J", Requests: 590}}},
		{IDC: "idc2", Asked: 100},
	}
	expectCall(t, 0, []string{"shift", "status", "--url", address},
		first+" of ann: holding, step 1 of 1, ends at ", "idc1  0 %    12.50 %   10.0   1.0 %\n", "idc2  100 %  -         0.0    -\n",
		"STILL AT  CALLER", "idc1      192.0.2.1?[2J  590")
	if _, out, _ := call(t, "shift", "status", "--url", address, "-o", "json"); !json.Valid([]byte(out)) {
		t.Errorf("no JSON: %s", out)
	}

	expectCall(t, 1, apply, first+" of ann, which is on (--replace)", "is under way")
	expectCall(t, 0, append(apply, "--replace"), first+" of ann")
	expectCall(t, 0, []string{"shift", "abort", "--url", address, "--why", "it hurts"}, "has ended: back to what "+first+" asks until ")
	require.Equal(t, "DELETE why=it+hurts", c.asked[len(c.asked)-1])
	expectCall(t, 0, []string{"shift", "status", "--url", address}, "aborted, step 1 of 1 at ", "back to what "+first, "it hurts")
	expectCall(t, 0, []string{"shift", "abort", "--url", address}, "has ended: back to base weights")
	expectCall(t, 1, []string{"shift", "abort", "--url", address}, "no shift is under way")
}
