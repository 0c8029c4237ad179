package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// patience bounds every wait of the tests.
const patience = 30 * time.Second

// TestMain is also the gateway that the tests kill.
func TestMain(m *testing.M) {
	if directory := os.Getenv(killedEnv); directory != "" {
		runKilled(directory)
		return
	}
	goleak.VerifyTestMain(m)
}

// quick is a configuration that tells at once.
const quick = `
route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 100ms, repeat_interval: 1h}
receivers: [{name: team, plugin_configs: [{plugin: chat}]}]
`

// plugin is a plugin of any kind, behind a real connection.
type plugin struct {
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedNotificationServer
	pluginv1.UnimplementedAlertingServer
	kind     string
	conn     *grpc.ClientConn
	groups   chan sdk.Group
	health   func() error           // nil: it is well
	fail     func(*sdk.Group) error // nil: every notification works
	evaluate func(*pluginv1.StartRequest, grpc.ServerStreamingServer[pluginv1.Alerts]) error
}

func (p *plugin) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	if p.kind != "storage" {
		return &pluginv1.InfoResponse{Kind: p.kind}, nil
	}
	return &pluginv1.InfoResponse{Kind: p.kind, QueryUrl: "http://storage", RemoteWriteUrl: "http://storage/write"}, nil
}

func (p *plugin) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	if p.health != nil {
		return &pluginv1.HealthResponse{}, p.health()
	}
	return &pluginv1.HealthResponse{}, nil
}

func (p *plugin) Notify(_ context.Context, r *pluginv1.NotifyRequest) (*pluginv1.NotifyResponse, error) {
	var g sdk.Group
	if err := json.Unmarshal(r.GetGroup(), &g); err != nil {
		return nil, err
	}
	if p.fail != nil {
		if err := p.fail(&g); err != nil {
			return nil, err
		}
	}
	p.groups <- g
	return &pluginv1.NotifyResponse{}, nil
}

func (p *plugin) Start(r *pluginv1.StartRequest, stream grpc.ServerStreamingServer[pluginv1.Alerts]) error {
	return p.evaluate(r, stream)
}

// next is the next group that a plugin is told of.
func (p *plugin) next(t *testing.T) sdk.Group {
	t.Helper()
	select {
	case g := <-p.groups:
		return g
	case <-time.After(patience):
		t.Fatal("nobody was told")
		return sdk.Group{}
	}
}

// pluginHost stands for the extension plugins.
type pluginHost struct {
	component.Component
	plugins map[string]*plugin
}

func (h *pluginHost) Plugins(kind string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(h.plugins)), func(name string) bool { return h.plugins[name].kind != kind })
}

func (h *pluginHost) Conn(name string) (grpc.ClientConnInterface, error) {
	if p, ok := h.plugins[name]; ok {
		return p.conn, nil
	}
	return nil, fmt.Errorf("no plugin %q", name)
}

// serve makes a plugin reachable until the test ends.
func serve(t testing.TB, kind string) *plugin {
	t.Helper()
	p := &plugin{kind: kind, groups: make(chan sdk.Group, 100_000)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	pluginv1.RegisterPluginServer(server, p)
	pluginv1.RegisterNotificationServer(server, p)
	pluginv1.RegisterAlertingServer(server, p)
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	p.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.conn.Close())
		server.Stop()
		<-served
	})
	return p
}

// console stands for the extension console, whose every caller is oncall.
type console struct {
	component.Component
	*http.ServeMux
}

func (c *console) HandleChange(role, pattern string, handler func(http.ResponseWriter, *http.Request, string)) {
	c.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Role", role)
		handler(w, r, "oncall")
	})
}

func (c *console) HandlePush(role, pattern string, handler func(http.ResponseWriter, *http.Request, string)) {
	c.HandleChange(role, pattern, handler)
}

// part stands for a part of the gateway that knows what is wrong with it.
type part struct {
	component.Component
	mu     sync.Mutex
	alerts []sdk.Alert
}

func (p *part) Alerts() []sdk.Alert {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alerts
}

func (p *part) say(alerts ...sdk.Alert) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alerts = alerts
}

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// gateway is what the tests run alerting in.
type gateway struct {
	plugins   *pluginHost
	console   *console
	part      *part
	telemetry *componenttest.Telemetry
	log       *observer.ObservedLogs
	cfg       *Config
	settling  time.Duration // 0: the usual
	ready     time.Duration // 0: the usual
	cluster   *node         // nil: it is alone
	alerting  *alerting     // since start
}

func newGateway(t testing.TB, text string, plugins map[string]*plugin) *gateway {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.DataDirectory = t.TempDir()
	cfg.ConfigFile = filepath.Join(t.TempDir(), "alertmanager.yml")
	require.NoError(t, os.WriteFile(cfg.ConfigFile, []byte(text), 0o600))
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	return &gateway{plugins: &pluginHost{plugins: plugins}, part: &part{}, telemetry: telemetry, cfg: cfg}
}

// start runs alerting until stop or the end of the test.
func (g *gateway) start(t testing.TB) (stop func()) {
	t.Helper()
	a, err := g.try(t)
	require.NoError(t, err)
	stop = sync.OnceFunc(func() { require.NoError(t, a.Shutdown(context.Background())) })
	t.Cleanup(stop)
	return stop
}

func (g *gateway) try(t testing.TB) (*alerting, error) {
	t.Helper()
	require.NoError(t, g.cfg.Validate())
	set := g.telemetry.NewTelemetrySettings()
	var core zapcore.Core
	core, g.log = observer.New(zapcore.InfoLevel)
	set.Logger = zap.New(core)
	a, err := newAlerting(g.cfg, set)
	require.NoError(t, err)
	a.lookEvery = 50 * time.Millisecond
	if g.settling > 0 {
		a.settling = g.settling
	}
	if g.ready > 0 {
		a.patience = g.ready
	}
	g.alerting = a
	g.console = &console{ServeMux: http.NewServeMux()}
	host := testHost{component.MustNewID("plugins"): g.plugins, component.MustNewID("console"): g.console, component.MustNewID("part"): g.part}
	if g.cluster != nil {
		host[component.MustNewID("cluster")] = g.cluster
	}
	return a, a.Start(t.Context(), host)
}

// ask sends a request to the console.
func (g *gateway) ask(method, path, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, "/alertmanager"+path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	g.console.ServeHTTP(recorder, request)
	return recorder
}

func (g *gateway) post(t *testing.T, alerts string) {
	t.Helper()
	answer := g.ask(http.MethodPost, "/api/v2/alerts", alerts)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	require.Equal(t, "operator", answer.Header().Get("Role"))
}

// count is the value of a counter for a source.
func (g *gateway) count(t *testing.T, name, source string) int64 {
	t.Helper()
	return g.countOf(t, name, "source", source)
}

// countOf is the value of a counter for what a label says.
func (g *gateway) countOf(t *testing.T, name, label, of string) int64 {
	t.Helper()
	m, err := g.telemetry.GetMetric(name)
	require.NoError(t, err)
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		if value, ok := point.Attributes.Value(attribute.Key(label)); ok && value.AsString() == of {
			return point.Value
		}
	}
	return 0
}

func timestamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
