package failover

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
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

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// console stands for the extension console, whose every caller is oncall.
type console struct {
	component.Component
	*http.ServeMux
}

func (c *console) HandlePush(role, pattern string, handler func(http.ResponseWriter, *http.Request, string)) {
	c.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Role", role)
		handler(w, r, "oncall")
	})
}

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// gateway is what the tests run failover in.
type gateway struct {
	*failover
	cfg       *Config
	console   *console
	telemetry *componenttest.Telemetry
	log       *observer.ObservedLogs
	stop      func()
}

// acting is a configuration that acts.
func acting(directory string) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Mode = "act"
	cfg.IDCs = map[string]IDCConfig{"idc1": {Weight: 50}, "idc2": {Weight: 50}}
	cfg.DataDirectory = directory
	return cfg
}

// launch runs failover until stop, which the test must call, or its end. change may break it before.
func launch(t testing.TB, cfg *Config, change ...func(*failover)) *gateway {
	t.Helper()
	return launchAmong(t, cfg, nil, change...)
}

// launchAmong runs failover with the extension cluster.
func launchAmong(t testing.TB, cfg *Config, cluster component.Component, change ...func(*failover)) *gateway {
	t.Helper()
	require.NoError(t, cfg.Validate())
	g := &gateway{cfg: cfg, console: &console{ServeMux: http.NewServeMux()}, telemetry: componenttest.NewTelemetry()}
	set := g.telemetry.NewTelemetrySettings()
	var core zapcore.Core
	core, g.log = observer.New(zapcore.InfoLevel)
	set.Logger = zap.New(core)
	var err error
	g.failover, err = newFailover(cfg, set)
	require.NoError(t, err)
	for _, c := range change {
		c(g.failover)
	}
	host := testHost{component.MustNewID("console"): g.console}
	if cluster != nil {
		host[component.MustNewID("cluster")] = cluster
	}
	require.NoError(t, g.Start(context.Background(), host))
	stopped := false
	g.stop = func() {
		if !stopped {
			stopped = true
			require.NoError(t, g.Shutdown(context.Background()))
			require.NoError(t, g.telemetry.Shutdown(context.Background()))
		}
	}
	return g
}

// inBubble runs a test in fake time.
func inBubble(t *testing.T, test func(t *testing.T, directory string)) {
	t.Helper()
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) { test(t, directory) })
}

// see is a second of one probe of each subject: those with a "!" before their name fail.
func (g *gateway) see(seconds int, subjects ...string) {
	for range seconds {
		g.glance(subjects...)
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

// glance is one probe of each subject.
func (g *gateway) glance(subjects ...string) {
	var evidence []probes.Evidence
	for _, s := range subjects {
		name, bad := strings.CutPrefix(s, "!")
		e := probes.Evidence{Subject: name, IDC: "idc1", Probe: "ping", At: time.Now(), Next: 2500 * time.Millisecond, OK: !bad}
		if idc, _, ok := splitIDC(name); ok {
			e.IDC = idc
		}
		if bad {
			e.Reason = "connection refused"
		}
		evidence = append(evidence, e)
	}
	g.Observe(evidence)
}

func (g *gateway) serving() xds.Serving {
	v, _ := g.board.get()
	return v.decision.Serving
}

// entry are the weights at the entry.
func (g *gateway) entry() map[string]uint32 {
	weights := map[string]uint32{}
	for name, idc := range g.serving().IDCs {
		weights[name] = idc.Entry
	}
	return weights
}

// ask sends a request to the console.
func (g *gateway) ask(method, target, body string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	g.console.ServeHTTP(recorder, httptest.NewRequest(method, target, strings.NewReader(body)))
	return recorder
}

// get decodes an answer with status 200.
func (g *gateway) get(t testing.TB, method, target, body string, into any) {
	t.Helper()
	answer := g.ask(method, target, body)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), into), answer.Body.String())
}

// metric is the value of a counter or gauge with all of these labels; the sum if there are several.
func (g *gateway) metric(t testing.TB, name string, labels ...attribute.KeyValue) (value int64) {
	t.Helper()
	m, err := g.telemetry.GetMetric(name)
	require.NoError(t, err)
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	require.NotEmpty(t, points, name)
	for _, point := range points {
		fits := true
		for _, label := range labels {
			got, ok := point.Attributes.Value(label.Key)
			fits = fits && ok && got == label.Value
		}
		if fits {
			value += point.Value
		}
	}
	return value
}

// alertNames are the names of what is wrong now.
func (g *gateway) alertNames() (names []string) {
	for _, a := range g.Alerts() {
		names = append(names, a.Labels["alertname"])
	}
	return names
}

func newGatewayTelemetry(t *testing.T) component.TelemetrySettings {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	return telemetry.NewTelemetrySettings()
}
