package main

import (
	"strings"
	"testing"
)

func TestDoctor(t *testing.T) {
	f := func(wantCode int, body string, want ...string) {
		t.Helper()
		code, out, stderr := call(t, "doctor", "--url", consoleOf(t, "/api/v1/doctor", body))
		if code != wantCode {
			t.Errorf("%s ends with %d: %s%s", body, code, out, stderr)
		}
		for _, line := range want {
			if !strings.Contains(out+stderr, line+"\n") {
				t.Errorf("no %q in\n%s%s", line, out, stderr)
			}
		}
	}
	f(0, `{"findings":[{"level":"ok","id":"als","text":"2 nodes"},{"level":"warn","id":"idc_unknown","subject":"n1","text":"nowhere","cure":"set it"}]}`,
		"ok    als: 2 nodes", "warn  idc_unknown: n1: nowhere", "      cure: set it")
	f(1, `{"findings":[{"level":"error","id":"no_als","text":"none","cure":"send some"}]}`,
		"error no_als: none", "error: telemetry is broken: the findings above say how to cure it")
	f(1, `{`, "error: not a doctor's answer: unexpected end of JSON input")
	const body = `{"findings":[{"level":"error","id":"no_als"}]}`
	if code, out, _ := call(t, "doctor", "-o", "json", "--url", consoleOf(t, "/api/v1/doctor", body)); code != 1 || out != body {
		t.Errorf("%d: %s", code, out)
	}
	if code, _, stderr := call(t, "doctor", "-o", "xml"); code != 2 || !strings.Contains(stderr, "must be text or json") {
		t.Errorf("%d: %s", code, stderr)
	}
	// a real one
	if code, out, _ := call(t, "doctor", "--url", startSink(t).console); code != 1 || !strings.Contains(out, "error no_als: ") {
		t.Errorf("%d: %s", code, out)
	}
}
