package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// host has an extension that knows where the metric storage is, or that it is nowhere.
type host struct {
	queryURL string
	logsURL  string
}

type pluginsExtension struct {
	component.Component
	host host
}

func (h host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("plugins"): pluginsExtension{host: h}}
}

func (e pluginsExtension) QueryURL(string) (string, error) {
	if e.host.queryURL == "" {
		return "", errors.New("plugin victoriametrics is down (backoff): exited: signal: killed")
	}
	return e.host.queryURL, nil
}

func (e pluginsExtension) LogsQueryURL() (string, error) {
	if e.host.logsURL == "" {
		return "", errors.New("plugin victorialogs is down (backoff): exited: signal: killed")
	}
	return e.host.logsURL, nil
}

// start runs a console on a free port until the test ends, and gives its address.
func start(t *testing.T, h component.Host) (extension.Extension, string) {
	t.Helper()
	return startWith(t, h, func(*Config) {})
}

func startWith(t *testing.T, h component.Host, change func(*Config)) (extension.Extension, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig().(*Config)
	cfg.Server.NetAddr.Endpoint = address
	change(cfg)
	c, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context(), h))
	t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
	return c, address
}

// silent is a console that is not started and tells nobody.
func silent(t *testing.T, cfg *Config) *console {
	t.Helper()
	c, err := newConsole(cfg, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	return c
}

// ask sends a request with exactly this target. Host is localhost unless the first header says otherwise.
func ask(t *testing.T, address, method, target, body string, header ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	if len(header) == 0 || !strings.HasPrefix(header[0], "Host:") {
		header = append(header, "Host: localhost")
	}
	header = append(header, "Connection: close", "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(body)))
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\n%s\r\n\r\n%s", method, target, strings.Join(header, "\r\n"), body)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(text)
}

func TestHealthyAndReady(t *testing.T) {
	c, address := start(t, componenttest.NewNopHost())
	f := func(path string, wantCode int, wantBody string) {
		t.Helper()
		response, body := ask(t, address, http.MethodGet, path, "")
		require.Equal(t, wantCode, response.StatusCode)
		require.Contains(t, body, wantBody)
	}
	watcher := c.(extensioncapabilities.PipelineWatcher)
	f("/-/healthy", 200, "healthy")
	f("/-/ready", 503, "not ready: the pipelines are not running")
	require.NoError(t, watcher.Ready())
	f("/-/ready", 200, "ready")
	require.NoError(t, watcher.NotReady())
	f("/-/ready", 503, "not ready")
	f("/-/healthy", 200, "healthy")
}

func TestHandlersOfOthers(t *testing.T) {
	c := silent(t, createDefaultConfig().(*Config))
	var mux interface {
		Handle(pattern string, handler http.Handler)
	} = c
	mux.Handle("GET /api/v1/plugins", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	f := func(method, path string, wantCode int) {
		t.Helper()
		recorder := httptest.NewRecorder()
		c.guard(false).ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
		require.Equal(t, wantCode, recorder.Code)
	}
	f(http.MethodGet, "/api/v1/plugins", 200)
	f(http.MethodGet, "/api/v1/edges", 404)
	require.NoError(t, c.Shutdown(t.Context()), "never started")
}

func TestPortInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	address := listener.Addr().String()
	cfg := createDefaultConfig().(*Config)
	cfg.Server.NetAddr.Endpoint = address
	c := silent(t, cfg)
	require.EqualError(t, c.Start(t.Context(), componenttest.NewNopHost()),
		`console::endpoint "`+address+`": listen tcp `+address+`: bind: address already in use: end what listens there, or set another endpoint`)
	require.NoError(t, c.Shutdown(t.Context()))
}

// A page of another site can have its name resolved to this machine; it can't have our name.
func TestHostNamesOnLoopback(t *testing.T) {
	_, address := start(t, componenttest.NewNopHost())
	f := func(name string, wantCode int) {
		t.Helper()
		response, body := ask(t, address, http.MethodGet, "/-/healthy", "", "Host: "+name)
		require.Equal(t, wantCode, response.StatusCode, name)
		if wantCode == 403 {
			require.Contains(t, errorOf(t, body), "is refused on a loopback address")
		}
	}
	f("localhost", 200)
	f("localhost:7070", 200)
	f("LOCALHOST", 200)
	f("lockkeeper.localhost:7070", 200)
	f("127.0.0.1:7070", 200)
	f("127.1.0.7", 200)
	f("[::1]:7070", 200)
	f("evil.example", 403)
	f("evil.example:7070", 403)
	f("localhost.evil.example", 403)
	f("10.0.0.1", 403)
	// anyone may ask when everyone can reach it
	recorder := httptest.NewRecorder()
	silent(t, createDefaultConfig().(*Config)).guard(false).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "http://gateway.example/-/healthy", nil))
	require.Equal(t, 200, recorder.Code)
}

func TestPage(t *testing.T) {
	_, address := start(t, componenttest.NewNopHost())
	f := func(path, contentType, want string) string {
		t.Helper()
		response, body := ask(t, address, http.MethodGet, path, "")
		require.Equal(t, 200, response.StatusCode)
		require.Equal(t, contentType, response.Header.Get("Content-Type"))
		require.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'")
		require.Contains(t, response.Header.Get("Content-Security-Policy"), "require-trusted-types-for 'script'")
		require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
		require.Contains(t, body, want)
		return body
	}
	index := f("/", "text/html; charset=utf-8", `<script src="app.js" defer></script>`)
	for _, risk := range []string{"https://", "http://", "style=", "<style", "onclick"} {
		require.NotContains(t, index, risk)
	}
	for _, script := range []string{
		f("/app.js", "text/javascript; charset=utf-8", "api/v1/overview"), f("/layout.js", "text/javascript; charset=utf-8", "onmessage"),
	} {
		for _, risk := range []string{"insertAdjacentHTML", "document.write", "eval(", "new Function", "https://", "importScripts"} {
			require.NotContains(t, script, risk)
		}
	}
	f("/style.css", "text/css; charset=utf-8", "light-dark(")
	f("/icon.svg", "image/svg+xml", "<svg")
	f("/LICENSES.txt", "text/plain; charset=utf-8", "preact")
}

// What the page shows may have been made by an attacker: nothing in its sources makes markup or script of text.
func TestPageWritesTextOnly(t *testing.T) {
	sources, err := filepath.Glob("page/src/*.ts*")
	require.NoError(t, err)
	for _, folder := range []string{"graph", "view"} {
		more, err := filepath.Glob("page/src/" + folder + "/*.ts*")
		require.NoError(t, err)
		sources = append(sources, more...)
	}
	require.Greater(t, len(sources), 20)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		for _, risk := range []string{"innerHTML", "InnerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc", "DOMParser"} {
			require.NotContains(t, string(text), risk, source)
		}
	}
}

// errorOf is the message of an answer in the form of Prometheus's API.
func errorOf(t *testing.T, body string) string {
	t.Helper()
	var answer struct {
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
	require.Equal(t, "error", answer.Status)
	require.NotEmpty(t, answer.ErrorType)
	return answer.Error
}
