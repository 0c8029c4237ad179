package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// consoleOf serves what a gateway's console would.
func consoleOf(t *testing.T, path, body string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("flag") == "XX" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"status":"error","error":"parameter \"flag\": \"XX\" is no response flag"}`)
			return
		}
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "QUERY", r.URL.RawQuery))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

const tailLines = `{"time":"2026-11-21T10:00:00Z","labels":{"reporter":"source","idc":"idc1","source_app":"web","source_version":"v1","destination_app":"unknown","destination_workload":"api-v2","destination_version":"unknown","request_protocol":"http","response_code":"503","response_flags":"UF,URX"},"duration_ms":12.34,"method":"GET","path":"/a\u001b[2Jb"}
{"dropped":7}
{"time":"2026-11-21T10:00:00Z","labels":{"reporter":"destination","idc":"idc2","request_protocol":"tcp","response_code":"0","response_flags":"-"},"duration_ms":1,"request_bytes":3,"response_bytes":4,"authority":"QUERY"}
`

func TestTail(t *testing.T) {
	address := consoleOf(t, "/api/v1/tail", tailLines)
	code, out, notes := call(t, "tail", "--url", address, "-n", "2")
	if code != 0 || !strings.Contains(out, "source idc1 web/v1 → api-v2 GET /a?[2Jb 503 UF,URX 12.3ms\n") ||
		!strings.Contains(out, "destination idc2 unknown → unknown TCP 3 B in, 4 B out 0 - 1.0ms\n") ||
		notes != "7 lines were too many to show: narrow the filter\n" {
		t.Errorf("%d\n%s%s", code, out, notes)
	}
	code, out, _ = call(t, "tail", "--url", address, "-o", "json", "--app", "web", "--flag", "UF", "--idc", "idc1", "--node", "n1", "--errors", "-n", "2")
	if want := strings.ReplaceAll(tailLines, "QUERY", "app=web&errors=true&flag=UF&idc=idc1&limit=2&node=n1"); code != 0 || out != want {
		t.Errorf("%d\n%s", code, out)
	}
}

// What goes wrong names its cure.
func TestTailMistakes(t *testing.T) {
	address := consoleOf(t, "/api/v1/tail", "no JSON\n")
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		if code, _, stderr := call(t, append([]string{"tail"}, args...)...); code != wantCode || !strings.Contains(stderr, want) {
			t.Errorf("%q ends with %d: %s", args, code, stderr)
		}
	}
	f(1, "start one with `lockkeeper run`, or give --url", "--url", "http://"+freeAddress(t))
	f(1, "does that gateway have the receiver envoy", "--url", address+"/elsewhere")
	f(1, "not a line of a tail", "--url", address)
	f(1, "has ended the tail: it stops, or it reloads", "--url", consoleOf(t, "/api/v1/tail", tailLines))
	f(2, "must be like http://localhost:7070", "--url", "localhost:7070")
	f(2, "must be text or json", "-o", "yaml")
	f(2, "must not be negative", "-n", "-1")
	f(2, `"XX" is no response flag`, "--url", address, "--flag", "XX")
}

// Ctrl-C ends a tail, and is no failure.
func TestTailEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	var out, err bytes.Buffer
	if code := execute(ctx, []string{"tail", "--url", server.URL}, &out, &err); code != 0 {
		t.Errorf("%d: %s", code, err.String())
	}
}
