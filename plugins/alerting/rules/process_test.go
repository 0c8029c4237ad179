package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func buildDirectory() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("alerting-rules-test-%d", os.Getpid()))
}

// buildOnce builds this plugin and the storage plugin of the tests.
var buildOnce = sync.OnceValue(func() error {
	if out, err := exec.Command("go", "build", "-o", buildDirectory()+"/", ".", "../../storage/victoriametrics").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// built is the path of a binary, built once for all tests of this package: "rules" or "victoriametrics".
func built(t testing.TB, name string) string {
	t.Helper()
	if err := os.MkdirAll(buildDirectory(), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := buildOnce(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(buildDirectory(), name)
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreCurrent(), // klog, which Prometheus brings
		goleak.IgnoreTopFunction("github.com/hashicorp/go-plugin.(*GRPCBroker).Run"), // ends with the process
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(buildDirectory())
			os.Exit(code)
		}))
}

func TestConforms(t *testing.T) {
	t.Parallel()
	sdktest.Process(t, built(t, "rules"), map[string]any{
		"files":               []string{ruleFile(t, alwaysFires)},
		"evaluation_interval": "1s",
	})
}

const alwaysFires = `
groups:
  - name: conformance
    rules:
      - alert: Always
        expr: conformance == 1
`

// ruleFile writes a rule file and returns its path.
func ruleFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, path, text)
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// process is a real plugin in a process of its own, started as the gateway does.
type process struct {
	t       testing.TB
	command *exec.Cmd
	client  *goplugin.Client
	conn    *grpc.ClientConn
	printed *printed
}

func launch(t testing.TB, binary, listen string, config map[string]any) *process {
	t.Helper()
	p := &process{t: t, command: exec.Command(binary), printed: new(printed)}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.ClientPlugins(),
		Cmd:              p.command,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		GRPCDialOptions:  sdk.DialOptions(),
		Stderr:           p.printed,
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(func() {
		p.client.Kill()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(binary), p.printed)
		}
	})
	protocol, err := p.client.Client()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		t.Fatal(err)
	}
	p.conn = conn.(*grpc.ClientConn)
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	request := &pluginv1.ConfigureRequest{Name: filepath.Base(binary), Config: raw, Listen: listen}
	if _, err := pluginv1.NewPluginClient(p.conn).Configure(t.Context(), request); err != nil {
		t.Fatalf("%v\n%s", err, p.printed)
	}
	return p
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	p.t.Helper()
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	p.t.Helper()
	until(p.t, "the process is gone", p.client.Exited)
	p.client.Kill()
}

func (p *process) health() error {
	_, err := pluginv1.NewPluginClient(p.conn).Health(p.t.Context(), new(pluginv1.HealthRequest))
	return err
}

// victoria is a VictoriaMetrics plugin, always at the same address and on the same data.
type victoria struct {
	*process
	directory, listen string
	source            *source
}

func startStorage(t testing.TB) *victoria {
	t.Helper()
	// An address of this process's own: no connection, which comes from 127.0.0.1, can take the port while the storage is down.
	pid := os.Getpid()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, pid&255))
	if err != nil {
		t.Fatal(err)
	}
	s := &victoria{directory: t.TempDir(), listen: listener.Addr().String()}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.source = newSource(s.urls(), 10*time.Second, newMetrics())
	t.Cleanup(s.source.close)
	s.start(t)
	return s
}

func (s *victoria) start(t testing.TB) {
	t.Helper()
	s.process = launch(t, built(t, "victoriametrics"), s.listen, map[string]any{"data_directory": s.directory})
}

func (s *victoria) urls() sdk.Source {
	return sdk.Source{QueryURL: "http://" + s.listen, RemoteWriteURL: "http://" + s.listen + "/api/v1/write"}
}

// put writes one sample of now.
func (s *victoria) put(value float64, nameAndLabels ...string) {
	s.t.Helper()
	l := labels.FromStrings(append(nameAndLabels[1:], model.MetricNameLabel, nameAndLabels[0])...)
	err := s.source.store(s.t.Context(), &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels: prompb.FromLabels(l, nil), Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: value}},
	}}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// value waits until a query has one series and returns its value.
func (s *victoria) value(query string) (value float64) {
	s.t.Helper()
	until(s.t, query+" has a value", func() bool {
		vector, err := s.source.query(s.t.Context(), query, time.Now())
		if err != nil || len(vector) != 1 {
			return false
		}
		value = vector[0].F
		return true
	})
	return value
}

func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("not after %v: %s", time.Since(began).Round(time.Second), what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("after %v: %s", time.Since(began).Round(10*time.Millisecond), what)
}

// printed collects what a process prints.
type printed struct {
	mu   sync.Mutex
	text []byte
}

func (p *printed) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, text...)
	return len(text), nil
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.text)
}
