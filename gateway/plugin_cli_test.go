package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// pluginConsole answers each method and path with a status and a body, in which TOKEN and QUERY are what was sent.
func pluginConsole(t *testing.T, path string, code int, body string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, strings.NewReplacer("TOKEN", r.Header.Get("Authorization"), "QUERY", r.URL.RawQuery).Replace(body))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// expectCall runs a command and looks for texts in what it prints.
func expectCall(t *testing.T, wantCode int, args []string, want ...string) {
	t.Helper()
	code, out, stderr := call(t, args...)
	if code != wantCode {
		t.Errorf("%q ends with %d, want %d: %s%s", args, code, wantCode, out, stderr)
	}
	for _, text := range want {
		if !strings.Contains(out+stderr, text) {
			t.Errorf("%q: no %q in\n%s%s", args, text, out, stderr)
		}
	}
}

func TestPluginList(t *testing.T) {
	const body = `{"plugins":[
 {"name":"acme","kind":"notification","state":"running","healthy":true,"restarts":0,"address":"acme.test:7443"},
 {"name":"vm","kind":"storage","state":"running","healthy":%t,"restarts":2,"pid":42,"memory_bytes":104857600,"memory_limit_bytes":536870912,"last_error":"a\u001b[2Jb"}]}`
	address := pluginConsole(t, "GET /api/v1/plugins", 200, fmt.Sprintf(body, true))
	expectCall(t, 0, []string{"plugin", "list", "--url", address},
		"NAME  KIND          STATE    HEALTHY  RESTARTS  PROCESS         MEMORY              LAST ERROR\n",
		"acme  notification  running  yes      0         acme.test:7443  -                   -\n",
		"vm    storage       running  yes      2         pid 42          100 MiB of 512 MiB  a?[2Jb\n")
	// one that is not healthy
	sick := fmt.Sprintf(body, false)
	address = pluginConsole(t, "GET /api/v1/plugins", 200, sick)
	expectCall(t, 1, []string{"plugin", "list", "--url", address}, "vm    storage       running  no ", "error: a plugin is not healthy")
	if code, out, _ := call(t, "plugin", "list", "-o", "json", "--url", address); code != 1 || out != sick {
		t.Errorf("%d: %s", code, out)
	}
	// no list
	expectCall(t, 1, []string{"plugin", "list", "--url", pluginConsole(t, "GET /api/v1/plugins", 200, "{")}, "not a list of plugins")
	expectCall(t, 1, []string{"plugin", "list", "--url", address + "/elsewhere"}, "does that gateway have the extension plugins?")
	expectCall(t, 1, []string{"plugin", "list", "--url", "http://" + freeAddress(t)}, "start one with `lockkeeper run`, or give --url")
	expectCall(t, 2, []string{"plugin", "list", "-o", "xml"}, "must be text or json")
	expectCall(t, 2, []string{"plugin"}, "say what to do")
}

func TestPluginLogs(t *testing.T) {
	const body = `{"time":"2026-11-21T10:00:00Z","level":"warn","message":"slow \u001b[2J","fields":{"b":2,"a":"QUERY"}}
{"time":"2026-11-21T10:00:01Z","level":"info","message":"done"}
`
	address := pluginConsole(t, "GET /api/v1/plugins/acme/logs", 200, body)
	expectCall(t, 0, []string{"plugin", "logs", "acme", "--url", address}, "00.000 WARN  slow ?[2J a=lines=100 b=2\n", "01.000 INFO  done\n")
	// to follow, it must not end
	expectCall(t, 1, []string{"plugin", "logs", "acme", "-f", "-n", "7", "--url", address}, "a=follow=true&lines=7 b=2\n", "has ended the log")
	if code, out, _ := call(t, "plugin", "logs", "acme", "-o", "json", "--url", address); code != 0 || out != strings.ReplaceAll(body, "QUERY", "lines=100") {
		t.Errorf("%d: %s", code, out)
	}
	// what goes wrong
	expectCall(t, 1, []string{"plugin", "logs", "acme", "--url", pluginConsole(t, "/", 200, "no JSON\n")}, "not a line of a log")
	expectCall(t, 1, []string{"plugin", "logs", "acne", "--url", pluginConsole(t, "/", 404, `{"error":"no plugin \"acne\": it has acme"}`)}, `no plugin "acne": it has acme`)
	expectCall(t, 2, []string{"plugin", "logs", "--url", address}, "say which plugin")
	expectCall(t, 2, []string{"plugin", "logs", "../edges", "--url", address}, `"../edges" is no name of a plugin`)
	tooMany := pluginConsole(t, "/", 400, `{"error":"QUERY"}`)
	expectCall(t, 2, []string{"plugin", "logs", "acme", "-n", "1001", "--url", tooMany}, "error: lines=1001\n")
}

func TestPluginSendTest(t *testing.T) {
	address := pluginConsole(t, "POST /api/v1/plugins/acme/test", 200, `{"took_ms":12}`)
	expectCall(t, 0, []string{"plugin", "send-test", "acme", "--url", address}, "acme sent the test notification in 12 ms\n")
	expectCall(t, 0, []string{"plugin", "send-test", "acme", "--url", address, "-o", "json"}, `{"took_ms":12}`+"\n")
	// the token, from wherever it is
	refuses := pluginConsole(t, "POST /api/v1/plugins/acme/test", 403, `{"error":"with TOKEN","errorType":"forbidden"}`)
	expectCall(t, 1, []string{"plugin", "send-test", "acme", "--url", refuses, "--token", "a"}, "with Bearer a\n")
	t.Setenv("LOCKKEEPER_TOKEN", "b\n")
	t.Setenv("LOCKKEEPER_URL", refuses)
	expectCall(t, 1, []string{"plugin", "send-test", "acme"}, "with Bearer b\n")
	expectCall(t, 1, []string{"plugin", "send-test", "acme", "--token", "a"}, "with Bearer a\n")
	if _, help, _ := call(t, "plugin", "send-test", "--help"); strings.Contains(help, "Bearer b") || strings.Contains(help, `"b`) {
		t.Errorf("the help tells the token:\n%s", help)
	}
	// what goes wrong
	f := func(code, wantCode int, body, want string) {
		t.Helper()
		expectCall(t, wantCode, []string{"plugin", "send-test", "acme", "--url", pluginConsole(t, "/", code, body)}, want)
	}
	f(502, 1, `{"error":"acme: 401 Unauthorized"}`, "acme: 401 Unauthorized")
	f(400, 2, `{"error":"vm is a storage plugin"}`, "vm is a storage plugin")
	f(404, 1, `{"error":"there is no \"/x\" here","errorType":"not_found"}`, "does that gateway have the extension plugins?")
	f(200, 1, "-", "not an answer to a test")
}

// Nothing that a plugin says reaches the terminal as a command.
func FuzzPluginAnswers(f *testing.F) {
	f.Add([]byte(`{"plugins":[{"name":"a","state":"\u001b]0;x\u0007","last_error":"\u009b2J","pid":-1,"memory_bytes":1e3}]}`))
	f.Add([]byte(`{"time":"2026-11-21T10:00:00Z","level":"\r","message":"\u001b[2J","fields":{"\u0000":["\u001b"]}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var out strings.Builder
		_ = listPlugins(answer, false, &out)
		_ = showLogged(answer, false, &out)
		if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && printable(string(r)) != string(r) }) {
			t.Errorf("%q prints %q", answer, out.String())
		}
	})
}
