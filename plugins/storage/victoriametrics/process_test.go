package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// built is the path of the plugin's binary, built once for all tests of this package.
func built(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func buildDirectory() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("storage-victoriametrics-test-%d", os.Getpid()))
}

var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDirectory(), "storage-victoriametrics")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreCurrent(), // VictoriaMetrics's packages start some when they are loaded
		goleak.IgnoreTopFunction("github.com/hashicorp/go-plugin.(*GRPCBroker).Run"), // ends with the process
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(buildDirectory())
			os.Exit(code)
		}))
}

// process is the real plugin in a process of its own, started as the gateway does.
type process struct {
	t         testing.TB
	command   *exec.Cmd
	client    *goplugin.Client
	conn      *grpc.ClientConn
	log       *logLines
	took      time.Duration // from start to the answer of Configure
	directory string
	query     string
	write     string
}

// start runs the plugin on the data in directory. It is stopped at the end of the test if it still runs.
func start(t testing.TB, directory string) *process {
	t.Helper()
	p, err := launch(t, map[string]any{"data_directory": directory}, freeAddress(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}
	return p
}

func launch(t testing.TB, config map[string]any, listen string) (*process, error) {
	t.Helper()
	command := exec.Command(built(t))
	p := &process{t: t, command: command, log: new(logLines)}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.ClientPlugins(),
		Cmd:              command,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		GRPCDialOptions:  sdk.DialOptions(),
		Stderr:           p.log,
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(func() {
		p.client.Kill()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	began := time.Now()
	protocol, err := p.client.Client()
	if err != nil {
		return p, err
	}
	conn, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		return p, err
	}
	p.conn = conn.(*grpc.ClientConn)
	raw, err := json.Marshal(config)
	if err != nil {
		return p, err
	}
	control := pluginv1.NewPluginClient(p.conn)
	if _, err := control.Configure(t.Context(), &pluginv1.ConfigureRequest{Name: "victoriametrics", Config: raw, Listen: listen}); err != nil {
		return p, err
	}
	p.directory, _ = config["data_directory"].(string)
	p.took = time.Since(began)
	info, err := control.Info(t.Context(), new(pluginv1.InfoRequest))
	if err != nil {
		return p, err
	}
	p.query, p.write = info.GetQueryUrl(), info.GetRemoteWriteUrl()
	return p, nil
}

// back notes how long a start took. 2 s are asked for; only what is far beyond fails, so that a slow day does not.
func (p *process) back() {
	p.t.Helper()
	p.t.Logf("back after %v", p.took)
	if p.took > 20*time.Second {
		p.t.Errorf("back after %v", p.took)
	}
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	p.t.Helper()
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	for !p.client.Exited() {
		time.Sleep(time.Millisecond)
	}
	p.client.Kill()
}

// stopOnly closes the plugin; the process is still there.
func (p *process) stopOnly() {
	p.t.Helper()
	if _, err := pluginv1.NewPluginClient(p.conn).Stop(p.t.Context(), new(pluginv1.StopRequest)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) stop() {
	p.t.Helper()
	p.stopOnly()
	p.client.Kill()
}

const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

func (p *process) export(m pmetric.Metrics) error {
	request, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
	if err != nil {
		return err
	}
	return p.exportBytes(p.t.Context(), request)
}

func (p *process) exportBytes(ctx context.Context, request []byte) error {
	return p.conn.Invoke(ctx, exportMethod, frame(request), new(frame), grpc.ForceCodecV2(frames{}))
}

// mustExport fails the test unless the request is acknowledged.
func (p *process) mustExport(m pmetric.Metrics) {
	p.t.Helper()
	if err := p.export(m); err != nil {
		p.t.Fatal(err)
	}
}

// eventually waits for an instant query to have the one value want: what was written is visible after about
// half a second.
func (p *process) eventually(query string, want float64) {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	var got []sample
	for time.Now().Before(deadline) {
		if got = p.ask(query); len(got) == 1 && got[0].value == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatalf("%s: got %v, want one value %v\n%s", query, got, want, p.log)
}

type sample struct {
	labels map[string]string
	value  float64
}

// ask runs an instant query.
func (p *process) ask(query string) []sample {
	p.t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	body := p.get("/api/v1/query?nocache=1&query=" + url.QueryEscape(query))
	if err := json.Unmarshal(body, &answer); err != nil {
		p.t.Fatalf("%s: %v: %s", query, err, body)
	}
	var samples []sample
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		samples = append(samples, sample{r.Metric, value})
	}
	return samples
}

func (p *process) get(path string) []byte {
	p.t.Helper()
	response, err := http.Get(p.query + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatalf("GET %s: %s: %v: %s", path, response.Status, err, body)
	}
	return body
}

// counter is a request with one point of a counter.
func counter(name string, at time.Time, value float64, attributes map[string]any) pmetric.Metrics {
	m := pmetric.NewMetrics()
	metric := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(name)
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	point := sum.DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(at))
	point.SetDoubleValue(value)
	_ = point.Attributes().FromRaw(attributes)
	return m
}

// freeAddress is where another process is to listen. The loopback address is this process's own, so that no connection, which comes
// from 127.0.0.1, and no other test can take the port meanwhile.
func freeAddress(t testing.TB) string {
	t.Helper()
	pid := os.Getpid()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, pid&255))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// logLines collects what a process prints.
type logLines struct {
	mu   sync.Mutex
	text []byte
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
