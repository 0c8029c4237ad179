package pluginhost

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// fixture is a host with all that a test asks it.
type fixture struct {
	*host
	t         *testing.T
	console   *console
	logs      *observer.ObservedLogs
	telemetry *componenttest.Telemetry
}

// console stands in for the extension of that name.
type console struct {
	extension.Extension
	http.ServeMux
}

// HandleChange takes everybody for the operator called tester.
func (c *console) HandleChange(role, pattern string, handler func(http.ResponseWriter, *http.Request, string)) {
	c.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Role", role)
		handler(w, r, "tester")
	})
}

func (c *console) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("console"): struct {
		component.Component
		*console
	}{nil, c}}
}

// newFixture makes a host whose plugin directory has binaries of these names.
func newFixture(t *testing.T, cfg string, binaries ...string) *fixture {
	t.Helper()
	config, err := load(t, cfg)
	require.NoError(t, err)
	if config.Directory == "" {
		config.Directory = pluginLinks(t, binaries...)
	}
	core, logs := observer.New(zap.DebugLevel)
	telemetry := componenttest.NewTelemetry()
	set := telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	host, err := newHost(config, set)
	require.NoError(t, err)
	f := &fixture{host: host, t: t, console: &console{}, logs: logs, telemetry: telemetry}
	t.Cleanup(func() {
		for _, entry := range logs.FilterLevelExact(zap.ErrorLevel).All() {
			t.Log(entry.Time.Format(time.StampMilli), entry.Message, entry.ContextMap())
		}
		require.NoError(t, host.Shutdown(context.Background()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	return f
}

// pluginLinks is a directory in which this test binary has the names of plugins.
func pluginLinks(t *testing.T, names ...string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	directory := t.TempDir()
	for _, name := range names {
		require.NoError(t, os.Symlink(self, filepath.Join(directory, name)))
	}
	return directory
}

func (f *fixture) start() *fixture {
	f.t.Helper()
	require.NoError(f.t, f.Start(f.t.Context(), f.console))
	return f
}

// ask is an answer of the HTTP API.
func (f *fixture) ask(method, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	f.console.ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
	return recorder
}

func (f *fixture) list() []report {
	f.t.Helper()
	recorder := f.ask(http.MethodGet, "/api/v1/plugins")
	require.Equal(f.t, http.StatusOK, recorder.Code)
	var body struct {
		Plugins []report `json:"plugins"`
	}
	require.NoError(f.t, json.Unmarshal(recorder.Body.Bytes(), &body))
	return body.Plugins
}

func (f *fixture) until(within time.Duration, what string, condition func() bool) {
	f.t.Helper()
	require.Eventually(f.t, condition, within, 5*time.Millisecond, what)
}

func (f *fixture) call(plugin string) error {
	f.t.Helper()
	conn, err := f.Conn(plugin)
	require.NoError(f.t, err)
	return conn.Invoke(f.t.Context(), pluginv1.Plugin_Health_FullMethodName, &pluginv1.HealthRequest{}, &pluginv1.HealthResponse{})
}

func (f *fixture) metric(name string, labels ...string) (value float64, found bool) {
	f.t.Helper()
	for _, point := range points(f.t, f.telemetry, name) {
		if strings.Contains(point.labels, strings.Join(labels, ",")) {
			value += point.value
			found = true
		}
	}
	return value, found
}

func TestPluginIsStartedConfiguredAndStopped(t *testing.T) {
	t.Setenv("SECRET_OF_THE_GATEWAY", "1")
	f := newFixture(t, `processes: {demo: {kind: storage, config: {kind: storage}}, other: {kind: storage, use: storage-demo}}`, "storage-demo").start()

	plugins := f.list()
	require.Len(t, plugins, 2)
	demo := plugins[0]
	require.Equal(t, "demo", demo.Name)
	require.Equal(t, "storage", demo.Kind)
	require.Equal(t, "running", demo.State)
	require.Positive(t, demo.PID)
	require.NotEqual(t, demo.QueryURL, plugins[1].QueryURL)
	require.True(t, strings.HasPrefix(demo.Version, `demo {"kind":"storage"} `), demo.Version)
	require.NotContains(t, demo.Version, "SECRET_OF_THE_GATEWAY")
	require.Contains(t, demo.Version, "LOCKKEEPER_HOST_PIPE=3")
	require.NoError(t, f.call("demo"))

	url, err := f.QueryURL("")
	require.NoError(t, err)
	require.Equal(t, demo.QueryURL, url)
	_, err = f.QueryURL("nobody")
	require.EqualError(t, err, `no plugin "nobody" in extension plugins: it has demo, other`)
	_, err = f.Conn("nobody")
	require.EqualError(t, err, `no plugin "nobody" in extension plugins: it has demo, other`)

	require.NoError(t, f.Shutdown(t.Context()))
	require.ErrorIs(t, syscall.Kill(demo.PID, 0), syscall.ESRCH)
	require.Equal(t, "stopped", f.list()[0].State)
	require.Len(t, f.logs.FilterMessage("flushed").All(), 2, "each was told to stop")
	require.Equal(t, codes.Unavailable, grpcstatus.Code(f.call("demo")))
	_, err = f.QueryURL("demo")
	require.EqualError(t, err, "plugin demo is stopped")
}

func TestStartErrors(t *testing.T) {
	f := func(cfg, want string) {
		t.Helper()
		fix := newFixture(t, cfg, "storage-demo", "storage-noisy", "storage-broken")
		want = strings.ReplaceAll(want, "DIR", fix.cfg.Directory)
		err := fix.Start(t.Context(), fix.console)
		require.EqualError(t, err, want)
		require.Equal(t, "stopped", fix.list()[0].State)
	}
	// no such binary
	f(`processes: {victoriametrics: {kind: storage}}`,
		"plugins: victoriametrics: no plugin binary at \"DIR/storage-victoriametrics\": run `make build`, or set plugins.directory")
	// a wrong key
	f(`processes: {demo: {kind: storage, config: {reject: true}}}`,
		`plugins: demo: config: unknown key "retenion"`)
	// another kind than configured
	f(`processes: {demo: {kind: storage, config: {kind: alerting}}}`,
		`plugins: demo: kind: DIR/storage-demo says that it is a "alerting" plugin, not "storage"`)
	// output before the handshake
	f(`processes: {noisy: {kind: storage}}`,
		`plugins: noisy: no handshake: it printed "Welcome to this plugin!"; a plugin serves first and prints nothing to stdout before`)
	// ends before the handshake
	f(`processes: {broken: {kind: storage}}`,
		`plugins: broken: exited: exit status 3: open data: permission denied`)
	// ends in Configure
	f(`processes: {demo: {kind: storage, config: {die: true}}}`,
		`plugins: demo: exited: exit status 2: panic: no space left`)
	// takes too long
	f(`{start_timeout: 3s, processes: {demo: {kind: storage, config: {block: true}}}}`,
		`plugins: demo: did not finish Configure within plugins.start_timeout (3s)`)
	// the others do not stay
	f(`processes: {demo: {kind: storage}, nobody: {kind: storage}}`,
		"plugins: nobody: no plugin binary at \"DIR/storage-nobody\": run `make build`, or set plugins.directory")
}

// A plugin whose data is still held by the one of a gateway that was killed gets another chance.
func TestFirstStartIsPatient(t *testing.T) {
	f := newFixture(t, `processes: {demo: {kind: storage, config: {locked: `+filepath.Join(t.TempDir(), "lock")+`}}}`, "storage-demo").start()
	refused := f.logs.FilterMessage("plugin is down, restarting it").All()
	require.Len(t, refused, 1)
	require.Equal(t, "the data is locked by another process", refused[0].ContextMap()["error"])
	require.Equal(t, 1, f.list()[0].Restarts)
}

func TestChecksum(t *testing.T) {
	wrong := strings.Repeat("ab", 32)
	f := newFixture(t, `processes: {demo: {kind: storage, sha256: `+wrong+`}}`, "storage-demo")
	err := f.Start(t.Context(), f.console)
	require.ErrorContains(t, err, "expected "+wrong+": it is not the binary that was pinned")
	_, actual, _ := strings.Cut(err.Error(), `storage-demo" is `)
	actual, _, _ = strings.Cut(actual, ",")

	newFixture(t, `processes: {demo: {kind: storage, sha256: `+strings.ToUpper(actual)+`}}`, "storage-demo").start()
}

func TestNotExecutable(t *testing.T) {
	directory := t.TempDir()
	binary := filepath.Join(directory, "storage-demo")
	require.NoError(t, os.WriteFile(binary, []byte("not a program"), 0o600))
	f := newFixture(t, `{directory: `+directory+`, processes: {demo: {kind: storage}}}`)
	require.EqualError(t, f.Start(t.Context(), f.console), `plugins: demo: plugin binary "`+binary+`" is not executable: chmod +x it`)

	require.NoError(t, os.Chmod(binary, 0o700))
	f = newFixture(t, `{directory: `+directory+`, processes: {demo: {kind: storage}}}`)
	require.EqualError(t, f.Start(t.Context(), f.console), `plugins: demo: fork/exec `+binary+`: exec format error`)
}

func TestOutputIsLogged(t *testing.T) {
	f := newFixture(t, `processes: {demo: {kind: storage, config: {noise: true}}}`, "storage-demo").start()
	require.NoError(t, f.call("demo"))
	f.until(5*time.Second, "all lines", func() bool {
		return f.logs.FilterMessageSnippet("hello from").Len() == 3
	})
	warning := f.logs.FilterMessage("hello from stderr").All()[0]
	require.Equal(t, zap.WarnLevel, warning.Level)
	require.Equal(t, map[string]any{"plugin": "demo", "answer": 42.0}, warning.ContextMap())
	require.Equal(t, zap.InfoLevel, f.logs.FilterMessage("hello from stdout").All()[0].Level)
	require.Equal(t, 1, f.logs.FilterMessage("hello from descriptor 1").Len())
}

// Metrics and logs each have the first storage that is for them; one from before there was a choice is for metrics.
func TestQueryURLOfEachSignal(t *testing.T) {
	f := func(wantMetrics, wantLogs string, processes ...*process) {
		t.Helper()
		h := &host{processes: map[string]*process{}}
		for _, p := range processes {
			p.kind, p.inst, p.state, p.journal = "storage", &instance{}, stateRunning, &journal{}
			h.processes[p.name] = p
		}
		metrics, _ := h.QueryURL("")
		logs, _ := h.LogsQueryURL()
		require.Equal(t, []string{wantMetrics, wantLogs}, []string{metrics, logs})
	}
	logs := func() *process { return &process{name: "a", queryURL: "http://logs", signals: []string{"logs"}} }
	f("http://metrics", "http://logs", logs(), &process{name: "b", queryURL: "http://metrics", signals: []string{"metrics"}})
	f("http://old", "http://logs", logs(), &process{name: "b", queryURL: "http://old"})
	f("http://both", "http://both", &process{name: "a", queryURL: "http://both", signals: []string{"metrics", "logs"}})
	f("", "http://logs", logs())
}

func TestNoQueryURL(t *testing.T) {
	f := func(want string, processes ...*process) {
		t.Helper()
		h := &host{processes: map[string]*process{}}
		for _, p := range processes {
			p.journal = &journal{}
			h.processes[p.name] = p
		}
		_, err := h.QueryURL("")
		require.EqualError(t, err, want)
	}
	f("no storage plugin for metrics has a query API")
	f("no storage plugin for metrics has a query API", &process{name: "a", kind: "notification"}, &process{name: "b", kind: "storage", inst: &instance{}})
	// one that has never run may have one
	f("plugin a is starting", &process{name: "a", kind: "storage", state: stateStarting})
}
