package console

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// shown is an overview as a page reads it.
type shown struct {
	At             time.Time                  `json:"at"`
	Version        string                     `json:"version"`
	Gateway        string                     `json:"gateway"`
	RefreshSeconds int                        `json:"refresh_seconds"`
	Sections       map[string]json.RawMessage `json:"sections"`
	Missing        map[string]string          `json:"missing"`
}

// answering has a console answer a path with a text.
func answering(c *console, path, text string) {
	c.Handle("GET "+path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
}

func look(t *testing.T, c *console, header ...string) (*httptest.ResponseRecorder, shown) {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, "/api/v1/overview", nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	c.mux.ServeHTTP(recorder, request)
	var s shown
	if recorder.Code == http.StatusOK {
		body := io.Reader(recorder.Body)
		if recorder.Header().Get("Content-Encoding") == "gzip" {
			var err error
			body, err = gzip.NewReader(body)
			require.NoError(t, err)
		}
		require.NoError(t, json.NewDecoder(body).Decode(&s))
	}
	return recorder, s
}

func TestOverview(t *testing.T) {
	c := silent(t, createDefaultConfig().(*Config))
	answering(c, "/api/v1/mesh", `{"at":"2026-11-22T00:00:00.000Z","edges":[]}`)
	answering(c, "/api/v1/events", "{\"seq\":1}\n{\"seq\":2}\n")
	answering(c, "/api/v1/plugins", `{"broken`)
	answering(c, "/api/v1/cluster", `{"name":"gw-berlin"}`)
	c.Handle("GET /api/v1/failover", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error":"not yet: it starts"}`)
	}))
	c.Handle("GET /alertmanager/api/v2/", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }))
	recorder, s := look(t, c, "Accept-Encoding", "gzip, br")
	require.Equal(t, "gzip", recorder.Header().Get("Content-Encoding"))
	require.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
	require.WithinDuration(t, time.Now(), s.At, time.Minute)
	require.Equal(t, 2, s.RefreshSeconds)
	require.Equal(t, "gw-berlin", s.Gateway)
	require.Equal(t, map[string]json.RawMessage{
		"mesh":    json.RawMessage(`{"at":"2026-11-22T00:00:00.000Z","edges":[]}`),
		"events":  json.RawMessage(`[{"seq":1},{"seq":2}]`),
		"cluster": json.RawMessage(`{"name":"gw-berlin"}`),
	}, s.Sections)
	require.Equal(t, map[string]string{
		"failover": "HTTP 503: not yet: it starts",
		"shift":    "the extension failover is not configured",
		"dns":      "the extension dns is not configured",
		"nodes":    "the receiver envoy is not configured",
		"xds":      "the extension xds is not configured",
		"probes":   "the receiver probes is not configured",
		"plugins":  "its answer is not JSON",
		"alerts":   "it failed; the log says why",
		"silences": "it failed; the log says why",
	}, s.Missing)
}

// The page is told of the worst; who asks for the whole of everything.
func TestOverviewIsBounded(t *testing.T) {
	c := silent(t, createDefaultConfig().(*Config))
	for _, path := range []string{"/api/v1/failover", "/api/v1/nodes"} {
		c.Handle("GET "+path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintf(w, "%q", r.URL.RawQuery) }))
	}
	_, s := look(t, c)
	require.Equal(t, `"worst=200"`, string(s.Sections["failover"]))
	require.Equal(t, `"worst=200"`, string(s.Sections["nodes"]))
	recorder := httptest.NewRecorder()
	c.mux.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/api/v1/overview?whole=true", nil))
	require.NoError(t, json.NewDecoder(recorder.Body).Decode(&s))
	require.Equal(t, `""`, string(s.Sections["failover"]))
	require.Equal(t, `""`, string(s.Sections["nodes"]))
}

func TestOverviewWithoutEvents(t *testing.T) {
	c := silent(t, createDefaultConfig().(*Config))
	answering(c, "/api/v1/events", "")
	recorder, s := look(t, c)
	require.Empty(t, recorder.Header().Get("Content-Encoding"))
	require.JSONEq(t, "[]", string(s.Sections["events"]))
	require.NotContains(t, s.Missing, "events")
}

// One that hangs costs a second once, and the others nothing.
func TestOverviewOfASectionThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := silent(t, createDefaultConfig().(*Config))
		answering(c, "/api/v1/mesh", `{}`)
		hung := make(chan struct{})
		c.Handle("GET /api/v1/dns", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-hung
			_, _ = io.WriteString(w, `{"serial":7}`)
		}))
		start := time.Now()
		_, s := look(t, c)
		require.Equal(t, sectionPatience, time.Since(start))
		require.Equal(t, "no answer within 1s", s.Missing["dns"])
		require.Contains(t, s.Sections, "mesh")

		time.Sleep(overviewAge)
		start = time.Now()
		_, s = look(t, c)
		require.Zero(t, time.Since(start))
		require.Equal(t, "still no answer to what it was asked before", s.Missing["dns"])
		require.Contains(t, s.Sections, "mesh")

		close(hung)
		synctest.Wait()
		time.Sleep(overviewAge)
		_, s = look(t, c)
		require.JSONEq(t, `{"serial":7}`, string(s.Sections["dns"]))
	})
}

// However many ask, each section is asked once a second.
func TestOverviewIsMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := silent(t, createDefaultConfig().(*Config))
		var asked atomic.Int64
		c.Handle("GET /api/v1/mesh", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			_, _ = fmt.Fprintf(w, `{"at":%q,"edges":[%d]}`, time.Now().Format(time.RFC3339Nano), asked.Load()/3)
		}))
		f := func(want int64) {
			t.Helper()
			for range 50 {
				go look(t, c)
			}
			synctest.Wait()
			require.Equal(t, want, asked.Load())
		}
		f(1)
		time.Sleep(overviewAge - time.Millisecond)
		f(1)
		recorder, _ := look(t, c)
		tag := recorder.Header().Get("ETag")
		require.True(t, strings.HasPrefix(tag, `W/"`), tag)
		time.Sleep(time.Millisecond)
		f(2)

		// Nothing but the time differs.
		recorder, _ = look(t, c, "If-None-Match", tag)
		require.Equal(t, http.StatusNotModified, recorder.Code)
		require.Empty(t, recorder.Body.String())
		time.Sleep(overviewAge)
		recorder, s := look(t, c, "If-None-Match", tag)
		require.Equal(t, http.StatusOK, recorder.Code)
		require.Contains(t, string(s.Sections["mesh"]), `"edges":[1]`)
	})
}

func TestReasonOf(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		require.Equal(t, want, reasonOf([]byte(body)))
	}
	f(`{"error":"why"}`, "why")
	f("plain", "plain")
	f("bad \xff bytes", "bad � bytes")
	f(strings.Repeat("ä", 400), strings.Repeat("ä", 250)+"…")
	f("", "")
}

// While the next one takes its time, the last one is told.
func TestOverviewWhileTheNextIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := silent(t, createDefaultConfig().(*Config))
		var asked atomic.Int64
		c.Handle("GET /api/v1/mesh", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n := asked.Add(1)
			time.Sleep(500 * time.Millisecond)
			_, _ = fmt.Fprint(w, n)
		}))
		f := func(want string, patience time.Duration) {
			t.Helper()
			start := time.Now()
			_, s := look(t, c)
			require.Equal(t, want, string(s.Sections["mesh"]))
			require.Equal(t, patience, time.Since(start))
		}
		f("1", 500*time.Millisecond) // there is no other
		time.Sleep(overviewAge)
		f("1", overviewPatience)
		f("1", overviewPatience)
		time.Sleep(500 * time.Millisecond)
		f("2", 0)
		time.Sleep(overviewStale) // nobody asked for a while
		f("3", 500*time.Millisecond)
	})
}
