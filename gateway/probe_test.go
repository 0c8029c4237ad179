package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProbeRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	f := func(code int, want []string, args ...string) string {
		t.Helper()
		got, stdout, stderr := call(t, append([]string{"probe", "run", "--timeout", "20s"}, args...)...)
		if got != code {
			t.Fatalf("%q: exit %d\n%s%s", args, got, stdout, stderr)
		}
		for _, text := range want {
			if !strings.Contains(stdout+stderr, text) {
				t.Errorf("%q: no %q in\n%s%s", args, text, stdout, stderr)
			}
		}
		return stdout
	}
	f(0, []string{"ok: http://api.example.com/healthz at " + address + " by http in ", "\n  connect ", "\n  processing ", "\n  probe_http_status_code  "},
		"http", "http://api.example.com/healthz", "--address", address)
	f(1, []string{"failed: ", "error: " + address + "/x: status 503, want 2xx"}, "http", address+"/x")
	f(1, []string{"error: 127.0.0.1:1: connection refused"}, "tcp", "127.0.0.1:1")

	// by a module of a configuration
	file := writeFile(t, `receivers: {probes: {modules: {entry: {prober: http, http: {valid_status_codes: [503]}}}}}`)
	f(0, []string{"by entry"}, "entry", server.URL, "--config", file)
	f(0, []string{"by tcp"}, "tcp", address, "--config", file)

	var answer probed
	if err := json.Unmarshal([]byte(f(1, nil, "http", server.URL, "-o", "json")), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.OK || answer.Reason != "status 503, want 2xx" || answer.Metrics["probe_http_status_code"] != 503 || len(answer.Phases) != 3 || answer.Seconds <= 0 {
		t.Errorf("%+v", answer)
	}

	// called wrongly
	f(2, []string{"say which module and which target"}, "http")
	f(2, []string{`there is no module "entry": use one of dns, grpc, http, icmp, tcp`}, "entry", "x")
	f(2, []string{`there is no module "other": use one of dns, entry, grpc, http, icmp, tcp`}, "other", "x", "--config", file)
	f(2, []string{`"127.0.0.1" is not host:port`}, "tcp", "127.0.0.1")
	f(2, []string{`"localhost" is neither IP:port nor an IP`}, "tcp", "a:1", "--address", "localhost")
	f(2, []string{"timeout: 1ms: use 10ms to 1m"}, "tcp", "127.0.0.1:1", "--timeout", "1ms")
	f(2, []string{"must be text or json"}, "tcp", "127.0.0.1:1", "-o", "yaml")
}
