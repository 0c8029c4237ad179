package console

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
)

func TestLogReadsReachTheLogStorage(t *testing.T) {
	u := newUpstream(t)
	_, address := start(t, host{logsURL: u.URL})
	f := func(method, target, body, want string) {
		t.Helper()
		response, text := ask(t, address, method, target, body)
		require.Equal(t, 200, response.StatusCode, text)
		require.Equal(t, []string{want}, u.take())
		require.Empty(t, response.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, proxiedPolicy, response.Header.Get("Content-Security-Policy"))
	}
	f("GET", "/logs/select/logsql/query?query=request_id%3A%3D%22x%22", "", "GET /select/logsql/query?query=request_id%3A%3D%22x%22 ")
	f("POST", "/logs/select/logsql/query", "query=error", "POST /select/logsql/query query=error")
	f("POST", "/logs/select/logsql/hits", "query=*&step=1m", "POST /select/logsql/hits query=*&step=1m")
	f("GET", "/logs/select/logsql/stats_query?query=x", "", "GET /select/logsql/stats_query?query=x ")
	f("GET", "/logs/select/logsql/tail?query=x", "", "GET /select/logsql/tail?query=x ")
	// its page and what that asks for
	f("GET", "/logs/select/vmui/", "", "GET /select/vmui/ ")
	f("GET", "/logs/select/vmui/assets/index-DiHn3JKq.js", "", "GET /select/vmui/assets/index-DiHn3JKq.js ")
	f("GET", "/logs/select/buildinfo", "", "GET /select/buildinfo ")
	f("GET", "/logs/select/logsql/field_values?field=idc", "", "GET /select/logsql/field_values?field=idc ")
}

func TestNothingElseReachesTheLogStorage(t *testing.T) {
	u := newUpstream(t)
	_, address := start(t, host{logsURL: u.URL, queryURL: u.URL})
	f := func(method, target string, wantCode int) {
		t.Helper()
		response, body := ask(t, address, method, target, "")
		require.Equal(t, wantCode, response.StatusCode, "%s %s: %s", method, target, body)
		require.Empty(t, u.take(), target)
		require.NotEmpty(t, errorOf(t, body))
	}
	for _, path := range []string{
		"insert/jsonline", "insert/opentelemetry/v1/logs", "insert/native", "internal/insert", "internal/select/query", "internal/force_flush",
		"internal/force_merge", "internal/partition/detach", "internal/partition/snapshot/delete", "internal/delete/run_task", "delete/run_task",
		"delete/stop_task", "select/vmalert/api/v1/rules", "select/tenant_ids", "select/logsql/delete", "metrics", "flags", "debug/pprof/", "-/reload",
		"select/vmui", "select/logsql/query/", "select/logsql/query/x", "select/logsql", "select//logsql/query", "SELECT/logsql/query",
		"select/logsql/../../insert/jsonline", "select/vmui/../logsql/query", "select/vmui/%2e%2e/%2e%2e/insert/jsonline", "select/logsql/query%00",
		"select/logsql/query;x", "logs/select/logsql/query", "api/v1/query",
	} {
		f("GET", "/logs/"+path, 404)
		f("POST", "/logs/"+path, 404)
	}
	f("DELETE", "/logs/select/logsql/query", 405)
	f("POST", "/logs/select/vmui/", 405)
	f("PUT", "/logs/select/logsql/tail", 405)
}

func TestLogStorageIsDown(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		response, body := ask(t, address, http.MethodGet, "/logs/select/logsql/query?query=x", "")
		require.Equal(t, 502, response.StatusCode)
		require.Contains(t, errorOf(t, body), want)
	}
	_, address := start(t, host{})
	f(address, "the log storage is not up: plugin victorialogs is down (backoff): exited: signal: killed")
	_, address = start(t, componenttest.NewNopHost())
	f(address, "the log storage is not up: no extension runs plugins")
	u := newUpstream(t)
	_, address = start(t, host{logsURL: u.URL})
	u.Close()
	f(address, "the log storage does not answer: dial tcp")
}

func TestLogsLeadToThePage(t *testing.T) {
	_, address := start(t, host{})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get("http://" + address + "/logs/")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 302, response.StatusCode)
	require.Equal(t, "/logs/select/vmui/", response.Header.Get("Location"))
}

// A live tail is passed on line by line, for longer than other answers may take.
func TestTailIsStreamed(t *testing.T) {
	lines := make(chan string)
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		for line := range lines {
			_, _ = io.WriteString(w, line+"\n")
			w.(http.Flusher).Flush()
		}
	}))
	defer u.Close()
	_, address := startWith(t, host{logsURL: u.URL}, func(c *Config) { c.Server.WriteTimeout = 50 * time.Millisecond })
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/logs/select/logsql/tail?query=x")
	require.NoError(t, err)
	defer response.Body.Close()
	reader := bufio.NewReader(response.Body)
	for _, line := range []string{"one", "two"} {
		time.Sleep(100 * time.Millisecond) // longer than the server's time for an answer
		lines <- line
		got, err := reader.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, line+"\n", got)
	}
	close(lines)
}
