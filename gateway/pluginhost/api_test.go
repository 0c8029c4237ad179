package pluginhost

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestSendTest(t *testing.T) {
	inbox := filepath.Join(t.TempDir(), "inbox")
	f := newFixture(t, `processes:
  a: {kind: notification, use: demo, config: {kind: notification, inbox: `+inbox+`}}
  b: {kind: notification, use: demo, config: {kind: notification, refuse: "channel not found"}}
  c: {kind: storage, use: demo}
`, "demo").start()

	before := time.Now()
	sent := f.ask(http.MethodPost, "/api/v1/plugins/a/test")
	require.Equal(t, http.StatusOK, sent.Code, sent.Body)
	require.Regexp(t, `^{"took_ms":\d+}\n$`, sent.Body.String())
	require.Equal(t, "operator", sent.Header().Get("Role"))

	raw, err := os.ReadFile(inbox)
	require.NoError(t, err)
	var group sdk.Group
	require.NoError(t, json.Unmarshal(raw, &group))
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, "4", group.Version)
	require.Equal(t, "a", group.Receiver)
	require.Equal(t, `{}:{alertname="LockkeeperTest"}`, group.GroupKey)
	require.Len(t, group.Firing(), 1)
	alert := group.Firing()[0]
	require.Equal(t, map[string]string{"alertname": "LockkeeperTest", "severity": "info", "gateway": host}, alert.Labels)
	require.Equal(t, "This is a test notification of Lockkeeper, sent by tester", alert.Annotations["summary"])
	require.WithinRange(t, alert.StartsAt, before.Add(-time.Second), time.Now())
	require.True(t, alert.EndsAt.IsZero())

	refused := func(path string, code int, want string) {
		t.Helper()
		answer := f.ask(http.MethodPost, path)
		require.Equal(t, code, answer.Code)
		var body struct{ Error string }
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body))
		require.Equal(t, want, body.Error)
	}
	// what the plugin says
	refused("/api/v1/plugins/b/test", http.StatusBadGateway, "channel not found")
	// another kind
	refused("/api/v1/plugins/c/test", http.StatusBadRequest, "plugin c is of kind storage: only a notification plugin can send a test")
	// none
	refused("/api/v1/plugins/d/test", http.StatusNotFound, `no plugin "d" in extension plugins: it has a, b, c`)

	calls, _ := f.metric("lockkeeper_plugin_calls_total", "code=InvalidArgument,method=lockkeeper.plugin.v1.Notification/Notify,plugin=b")
	require.EqualValues(t, 1, calls)
	require.NoError(t, f.Shutdown(t.Context()))
	refused("/api/v1/plugins/a/test", http.StatusBadGateway, "plugin a is stopped")
}

func TestLogs(t *testing.T) {
	f := printed(t)
	lines := func(query string) string {
		t.Helper()
		answer := f.ask(http.MethodGet, "/api/v1/plugins/demo/logs"+query)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body)
		require.Equal(t, "application/x-ndjson", answer.Header().Get("Content-Type"))
		return answer.Body.String()
	}
	one := `{"time":"1970-01-01T00:00:00Z","level":"info","message":"<one>","fields":{"a":1}}` + "\n"
	two := `{"time":"1970-01-01T00:00:01Z","level":"warn","message":"two"}` + "\n"
	require.Equal(t, one+two, lines(""))
	require.Equal(t, two, lines("?lines=1&follow=false"))
	require.Empty(t, lines("?lines=0"))

	refused := func(path string, code int, want string) {
		t.Helper()
		answer := f.ask(http.MethodGet, path)
		require.Equal(t, code, answer.Code)
		require.Contains(t, answer.Body.String(), want)
	}
	refused("/api/v1/plugins/demo/logs?lines=many", http.StatusBadRequest, `lines: \"many\" is not a number from 0 to 1000`)
	refused("/api/v1/plugins/demo/logs?lines=1001", http.StatusBadRequest, "lines: ")
	refused("/api/v1/plugins/demo/logs?follow=yes", http.StatusBadRequest, `follow: \"yes\" is neither true nor false`)
	refused("/api/v1/plugins/demo/logs?level=info", http.StatusBadRequest, "level: unknown parameter")
	refused("/api/v1/plugins/other/logs", http.StatusNotFound, "no plugin")
}

func TestLogsAreFollowed(t *testing.T) {
	f := printed(t)
	server := httptest.NewServer(f.console)
	defer server.Close()
	url := server.URL + "/api/v1/plugins/demo/logs?lines=1&follow=true"

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	body := follow(ctx, t, url)
	require.Contains(t, <-body, `"two"`)
	f.processes["demo"].journal.ring.add(line{Message: "three"})
	require.Contains(t, <-body, `"three"`)

	// as many as may, and one more
	for range maxReaders - 1 {
		require.Contains(t, <-follow(ctx, t, url), `"three"`)
	}
	require.Contains(t, <-follow(ctx, t, url), "8 clients follow already: end one of them")
	ended, _ := f.metric("lockkeeper_plugin_log_readers_ended_total", "plugin=demo,reason=too_many")
	require.EqualValues(t, 1, ended)

	// room again when they leave
	leave()
	f.until(10*time.Second, "no client is left", func() bool { return len(f.readers.open) == 0 })

	// the gateway stops
	body = follow(t.Context(), t, url)
	require.Contains(t, <-body, `"three"`)
	require.NoError(t, f.Ready())
	require.NoError(t, f.NotReady())
	_, open := <-body
	require.False(t, open)
}

// A reader that the plugin has outrun is told so: what it was shown has no holes.
func TestLogsOfASlowReader(t *testing.T) {
	f := printed(t)
	_, live, end := f.processes["demo"].journal.ring.subscribe(0)
	defer end()
	for i := range ringLines + 1 {
		f.processes["demo"].journal.ring.add(line{Message: fmt.Sprint(i)})
	}
	answer := httptest.NewRecorder()
	f.readers.follow(t.Context(), answer, "demo", nil, live)
	got := strings.Split(strings.TrimSpace(answer.Body.String()), "\n")
	require.Len(t, got, ringLines+1)
	require.Contains(t, got[ringLines-1], `"999"`)
	require.Contains(t, got[ringLines], "this reader is 1000 lines behind: following ends here")
	ended, _ := f.metric("lockkeeper_plugin_log_readers_ended_total", "plugin=demo,reason=behind")
	require.EqualValues(t, 1, ended)
}

// printed is a host that knows two lines of a plugin.
func printed(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, `processes: {}`)
	demo := &process{name: "demo", journal: newJournal("demo", zap.NewNop(), f.metrics, nil)}
	demo.journal.ring.add(line{Time: time.Unix(0, 0).UTC(), Message: "<one>", Fields: map[string]any{"a": 1}})
	demo.journal.ring.add(line{Time: time.Unix(1, 0).UTC(), Level: zapcore.WarnLevel, Message: "two"})
	f.start().processes["demo"] = demo
	return f
}

// follow gives an answer line by line.
func follow(ctx context.Context, t *testing.T, url string) <-chan string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer response.Body.Close()
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}
