package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
)

// standIn stands in for the metric storage and remembers what reached it.
type standIn struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
	last *http.Request
}

func newUpstream(t *testing.T) *standIn {
	u := &standIn{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.seen = append(u.seen, r.Method+" "+r.RequestURI+" "+string(body))
		u.last = r
		u.mu.Unlock()
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success"}`)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *standIn) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

func TestReadsReachTheStorage(t *testing.T) {
	u := newUpstream(t)
	_, address := start(t, host{queryURL: u.URL + "/base"})
	f := func(method, target, body, want string) {
		t.Helper()
		response, text := ask(t, address, method, target, body)
		require.Equal(t, 200, response.StatusCode, text)
		require.Equal(t, []string{want}, u.take())
		require.Empty(t, response.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, proxiedPolicy, response.Header.Get("Content-Security-Policy"))
	}
	f("GET", "/prometheus/api/v1/query?query=up%7Ba%3D%22b%22%7D&time=1", "", "GET /base/api/v1/query?query=up%7Ba%3D%22b%22%7D&time=1 ")
	f("POST", "/prometheus/api/v1/query", "query=up", "POST /base/api/v1/query query=up")
	f("POST", "/prometheus/api/v1/query_range", "query=up&step=5", "POST /base/api/v1/query_range query=up&step=5")
	f("POST", "/prometheus/api/v1/series", "match[]=up", "POST /base/api/v1/series match[]=up")
	f("POST", "/prometheus/api/v1/labels", "", "POST /base/api/v1/labels ")
	f("GET", "/prometheus/api/v1/labels", "", "GET /base/api/v1/labels ")
	f("GET", "/prometheus/api/v1/label/__name__/values?match[]=up", "", "GET /base/api/v1/label/__name__/values?match[]=up ")
	f("GET", "/prometheus/api/v1/metadata", "", "GET /base/api/v1/metadata ")
	f("GET", "/prometheus/api/v1/status/buildinfo", "", "GET /base/api/v1/status/buildinfo ")
	f("GET", "/prometheus/api/v1/status/tsdb", "", "GET /base/api/v1/status/tsdb ")
	f("GET", "/prometheus/api/v1/status/metric_names_stats", "", "GET /base/api/v1/status/metric_names_stats ")
	f("GET", "/prometheus/federate?match[]=up", "", "GET /base/federate?match[]=up ")
	// vmui and what it asks for
	f("GET", "/vmui/", "", "GET /base/vmui/ ")
	f("GET", "/vmui/assets/index-BiDX4bB6.js", "", "GET /base/vmui/assets/index-BiDX4bB6.js ")
	f("GET", "/prometheus/vmui/config.json", "", "GET /base/vmui/config.json ")
	f("GET", "/prometheus/vmui/timezone", "", "GET /base/vmui/timezone ")
	f("GET", "/prometheus/prettify-query?query=up", "", "GET /base/prettify-query?query=up ")
}

func TestNothingElseReachesTheStorage(t *testing.T) {
	u := newUpstream(t)
	_, address := start(t, host{queryURL: u.URL})
	f := func(method, target string, wantCode int) {
		t.Helper()
		response, body := ask(t, address, method, target, "")
		require.Equal(t, wantCode, response.StatusCode, "%s %s: %s", method, target, body)
		require.Empty(t, u.take(), target)
		require.NotEmpty(t, errorOf(t, body))
	}
	// what writes, deletes or manages
	for _, path := range []string{
		"api/v1/admin/tsdb/delete_series", "api/v1/admin/tsdb/snapshot", "api/v1/admin/status/metric_names_stats/reset",
		"api/v1/import", "api/v1/import/prometheus", "api/v1/import/csv", "api/v1/write", "api/v1/push", "api/put", "write", "api/v2/write",
		"snapshot/create", "snapshot/delete_all", "internal/force_merge", "internal/force_flush", "internal/resetRollupResultCache",
		"opentelemetry/v1/metrics", "opentelemetry/api/v1/push", "influx/write", "datadog/api/v2/series", "tags/delSeries", "delete", "graphite/tags/delSeries",
		"metrics", "flags", "debug/pprof/", "-/reload", "target-relabel-debug", "api/v1/status/config", "api/v1/status/flags", "api/v1/export/native",
	} {
		f("GET", "/prometheus/"+path, 404)
		f("POST", "/prometheus/"+path, 404)
	}
	// methods that do not read
	f("POST", "/prometheus/api/v1/status/metric_names_stats", 405)
	f("DELETE", "/prometheus/api/v1/series", 405)
	f("PUT", "/prometheus/api/v1/query", 405)
	f("POST", "/vmui/", 405)
	// other ways to write a path
	for _, target := range []string{
		"/prometheus/api/v1/query/../admin/tsdb/delete_series", "/prometheus/api/v1/query/%2e%2e/admin/tsdb/delete_series",
		"/prometheus/api/v1/label/x/../../admin/tsdb/delete_series/values", "/prometheus/api/v1/label/../values", "/prometheus/api/v1/label/..%2f..%2fadmin/values",
		"/prometheus/api/v1/label/a%2fb/values", "/prometheus/api/v1/label//values", "/prometheus/api/v1/label/a/b/values",
		"/prometheus//api/v1/query", "//prometheus/api/v1/query", "/prometheus/./api/v1/query", "/prometheus/api/v1/query/", "/prometheus/api/v1/query/x",
		"/prometheus/api/v1/query%00", "/prometheus/api/v1/query%3f", "/prometheus/api/v1/%71uery", "/prometheus/api/v1/query;x=1", `/prometheus/api\v1\query`,
		"/prometheus/API/v1/query", "/prometheus/", "/prometheus/prometheus/api/v1/query", "/prometheus/vmui/", "/prometheus/vmui/../api/v1/import",
		"/vmui/../api/v1/admin/tsdb/delete_series", "/vmui/%2e%2e/api/v1/import", "/vmui/..%2fapi/v1/import", "/vmui//../snapshot/create", "/vmui/./", "/vmui/..",
		"/api/v1/import", "/api/v1/query", "/write", "/snapshot/create", "/..", "/%2e%2e/", "//",
	} {
		f("GET", target, 404)
		f("POST", target, 404)
	}
}

func TestWhatIsMeantForUsStaysHere(t *testing.T) {
	u := newUpstream(t)
	_, address := start(t, host{queryURL: u.URL})
	response, body := ask(t, address, http.MethodGet, "/prometheus/api/v1/labels", "", "Authorization: Bearer x", "Cookie: a=b")
	require.Equal(t, 200, response.StatusCode, body)
	require.Empty(t, u.last.Header.Get("Authorization"))
	require.Empty(t, u.last.Header.Get("Cookie"))
	require.Equal(t, u.Listener.Addr().String(), u.last.Host)
}

func TestStorageIsDown(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		for _, target := range []string{"/prometheus/api/v1/labels", "/vmui/"} {
			response, body := ask(t, address, http.MethodGet, target, "")
			require.Equal(t, 502, response.StatusCode)
			require.Contains(t, errorOf(t, body), want)
		}
	}
	// its process is
	_, address := start(t, host{})
	f(address, "the metric storage is not up: plugin victoriametrics is down (backoff): exited: signal: killed")
	// there is none
	_, address = start(t, componenttest.NewNopHost())
	f(address, "the metric storage is not up: no extension runs plugins")
	// it went away a moment ago
	u := newUpstream(t)
	_, address = start(t, host{queryURL: u.URL})
	u.Close()
	f(address, "the metric storage does not answer: dial tcp")
}

// An answer is passed on while it is still being written.
func TestAnswersAreStreamed(t *testing.T) {
	finish := make(chan struct{})
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-finish
		_, _ = io.WriteString(w, "second")
	}))
	defer u.Close()
	_, address := start(t, host{queryURL: u.URL})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/prometheus/api/v1/export?match[]=up")
	require.NoError(t, err)
	defer response.Body.Close()
	first := make([]byte, 5)
	_, err = io.ReadFull(response.Body, first)
	require.NoError(t, err)
	close(finish)
	rest, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "firstsecond", string(first)+string(rest))
}
