package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// doctorOf serves what the doctor asks for: the findings of the receiver, and the overview.
func doctorOf(t *testing.T, findings, overview string) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/doctor", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, findings) })
	mux.HandleFunc("GET "+overviewPath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Replace(overview, "NOW", time.Now().UTC().Format(time.RFC3339Nano), 1))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// The findings of all parts are shown, the worst first; only errors make the exit code.
func TestDoctor(t *testing.T) {
	f := func(wantCode int, findings, sections string, want ...string) {
		t.Helper()
		url := doctorOf(t, `{"findings":[`+findings+`]}`, `{"at":"NOW","gateway":"berlin","sections":{`+sections+`},"missing":{}}`)
		code, out, stderr := call(t, "doctor", "--resolver", "127.0.0.1:1", "--url", url)
		if code != wantCode {
			t.Errorf("%s%s: exit %d: %s%s", findings, sections, code, out, stderr)
		}
		if !strings.Contains(out+stderr, strings.Join(want, "\n")) {
			t.Errorf("no %q in\n%s%s", want, out, stderr)
		}
	}
	f(0, `{"level":"ok","id":"als","text":"2 nodes"},{"level":"warn","id":"idc_unknown","subject":"n1","text":"nowhere","cure":"set it"}`, "",
		"warn  idc_unknown: n1: nowhere", "      cure: set it", "ok    als: 2 nodes")
	f(1, `{"level":"warn","id":"a","text":"b","cure":"c"},{"level":"error","id":"no_als","text":"none\u001b","cure":"send some"}`, "",
		"error no_als: none?", "      cure: send some", "warn  a: b")
	plugin := func(rest string) string { return `"plugins":{"plugins":[{"name":"p","kind":"storage",` + rest + `}]}` }
	f(0, "", plugin(`"healthy":true,"query_url":"http://127.0.0.1:1"`), "ok    plugins: 1 plugins are healthy, and nothing waits for them for long")
	f(1, "", plugin(`"state":"backoff","last_error":"sha256 of \"/p\" is 1, expected 2"`),
		`error plugin_pin: p: is not healthy (backoff, 0 restarts): sha256 of "/p" is 1, expected 2`, "      cure: put the pinned binary back, or, if the new one is wanted, "+
			"its sha256 (`lockkeeper plugin verify` prints it) into extensions::plugins::processes::p::sha256")
	f(1, "", plugin(`"state":"backoff","last_error":"speaks protocol 2, this gateway speaks 1: update the gateway"`), "error plugin_protocol: p: ")
	f(1, "", `"plugins":{"plugins":[{"name":"rules","kind":"alerting","healthy":true},{"name":"logs","kind":"storage","healthy":true,"query_url":"http://127.0.0.1:1","signals":["logs"]}]}`,
		"error rules: rules: no rules are evaluated: no storage plugin for metrics has told where to query")
	f(0, "", plugin(`"healthy":true,"binary_changed":true`), "warn  plugin_binary: p: the binary on disk is another than the one that runs")
	f(0, "", plugin(`"healthy":true,"memory_bytes":95,"memory_limit_bytes":100`), "warn  plugin_memory: p: ")
	f(0, "", plugin(`"healthy":true,"queues":[{"exporter":"e","signal":"logs","size":5,"capacity":10,"oldest_seconds":60}]`),
		"warn  queue: e: the queue of logs for p is 50 % full, its oldest has waited 1m0s; what finds it full is lost")
	f(1, "", `"dns":{"error":"bad","zones":[]}`, "error dns_stale: answers do not follow what is served: bad")
	f(0, "", `"probes":{"targets":[{"subject":"machine/a","module":"m","minutes":[{}]}]}`, "warn  probe_stuck: machine/a: had results, and has none any more")
	f(1, "", `"cluster":{"members":[{"name":"a","site":"s","state":"lost"},{"name":"b","state":"alive"}],"silent":[{"site":"s","why":"no word"}]}`,
		"error site_silent: s: no word")
	f(0, "", `"cluster":{"members":[{"state":"alive"},{"name":"a","site":"s","state":"left"}]}`, "ok    member_left: a: of site s was stopped at ")
	now := time.Now().Format(time.RFC3339)
	f(0, "", fmt.Sprintf(`"cluster":{"members":[{"state":"alive"},{"state":"alive"}],"refused":{"stale":{"count":2,"last":"old","at":%q}}}`, now), "warn  gossip_stale: 2 messages")
	f(0, "", `"cluster":{"members":[{"state":"alive"},{"state":"alive"}],"refused":{"stale":{"count":2,"last":"old","at":"2026-01-01T00:00:00Z"}}}`, "ok    cluster: 2 of 2 gateways answer")
	f(1, "", `"failover":{"alarms":{"quorum":"idc/a/entry"}}`, "error failover_quorum: idc/a/entry")
	f(0, "", `"failover":{"subjects":[{"subject":"machine/a","health":"unknown"}]}`, "warn  no_verdict: machine/a: has no verdict")
	f(0, "", `"failover":{"subjects":[{"subject":"endpoint/10.0.0.1:80","health":"unknown"}]}`, "ok    verdicts: probes and failover see no hindrance")

	body := `{"findings":[{"level":"error","id":"no_als","text":"x"}]}`
	code, out, _ := call(t, "doctor", "-o", "json", "--url", doctorOf(t, body, `{"at":"NOW"}`))
	if strings.Join(strings.Fields(out), "") != body || code != 1 {
		t.Errorf("%d: %s", code, out)
	}
	if code, _, stderr := call(t, "doctor", "-o", "xml"); code != 2 || !strings.Contains(stderr, "must be text or json") {
		t.Errorf("%d: %s", code, stderr)
	}
	if code, out, _ := call(t, "doctor", "--url", doctorOf(t, "{", `{"at":"NOW"}`)); code != 1 || !strings.Contains(out, "error telemetry: the receiver of telemetry does not answer") {
		t.Errorf("%d: %s", code, out)
	}
}

// Clocks are compared with this machine's, and with one another.
func TestDoctorOfClocks(t *testing.T) {
	at := func(ahead time.Duration) string {
		return doctorOf(t, "{}", fmt.Sprintf(`{"at":%q,"gateway":"g%d"}`, time.Now().Add(ahead).UTC().Format(time.RFC3339Nano), int(ahead.Minutes())))
	}
	f := func(wantCode int, want string, urls ...string) {
		t.Helper()
		args := []string{"doctor"}
		for _, url := range urls {
			args = append(args, "--url", url)
		}
		if code, out, stderr := call(t, args...); code != wantCode || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in\n%s%s", code, want, out, stderr)
		}
	}
	f(0, "warn  clock: g10: its clock is 10m0s ahead of this machine's", at(10*time.Minute))
	f(0, "warn  clock: g-10: its clock is ", at(-10*time.Minute))
	f(1, "error clocks: g10: its clock is ", at(10*time.Minute), at(-10*time.Minute))
}

func TestDisks(t *testing.T) {
	f := func(free, total uint64, want ...string) {
		t.Helper()
		var d doctor
		d.disk("/data", free, total)
		var levels []string
		for _, found := range d.findings {
			levels = append(levels, found.Level)
		}
		if strings.Join(levels, " ") != strings.Join(want, " ") {
			t.Errorf("%d of %d: %q", free, total, levels)
		}
	}
	f(50*gibibyte, 100*gibibyte)
	f(6*gibibyte, 1000*gibibyte) // little by share, and yet enough
	f(4*gibibyte, 100*gibibyte, levelWarn)
	f(1, 100*gibibyte, levelError)
	f(1, 2) // half of a small one
	if free, total, err := room(t.TempDir()); err == nil && (total == 0 || free > total) {
		t.Errorf("%d of %d", free, total)
	}
}
