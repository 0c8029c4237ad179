// Package storagetest runs a storage plugin for its tests: the real process, started, killed and stopped as the gateway does.
package storagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// Build builds the plugin in the current directory and returns the path of its binary.
func Build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(buildDirectory(), "plugin")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// buildDirectory is the test process's own.
func buildDirectory() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("lockkeeper-storagetest-%d", os.Getpid()))
}

// Main runs a package's tests, looks for leaks, and removes what was built.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreCurrent(), // databases' packages start some when they are loaded
		goleak.IgnoreTopFunction("github.com/hashicorp/go-plugin.(*GRPCBroker).Run"), // ends with the process
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(buildDirectory())
			os.Exit(code)
		}))
}

// Process is a plugin in a process of its own.
type Process struct {
	Command *exec.Cmd
	Log     *Lines        // what it printed
	Took    time.Duration // from start to the answer of Configure
	Info    *pluginv1.InfoResponse

	t      testing.TB
	client *goplugin.Client
	conn   *grpc.ClientConn
}

// Launch starts the plugin. It is killed at the end of the test if it still runs. With an error there is a Process too, with its
// Log.
func Launch(t testing.TB, config map[string]any, listen string) (*Process, error) {
	t.Helper()
	command := exec.Command(Build(t))
	p := &Process{t: t, Command: command, Log: new(Lines)}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.ClientPlugins(),
		Cmd:              command,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		GRPCDialOptions:  sdk.DialOptions(),
		Stderr:           p.Log,
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
	if _, err := control.Configure(t.Context(), &pluginv1.ConfigureRequest{Name: "storage", Config: raw, Listen: listen}); err != nil {
		return p, err
	}
	p.Took = time.Since(began)
	p.Info, err = control.Info(t.Context(), new(pluginv1.InfoRequest))
	return p, err
}

// Start is Launch with the data in directory, which must succeed.
func Start(t testing.TB, directory string) *Process {
	t.Helper()
	p, err := Launch(t, map[string]any{"data_directory": directory}, FreeAddress(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Log)
	}
	return p
}

// Back notes how long a start took. 2 s are asked for; only what is far beyond fails, so that a slow day does not.
func (p *Process) Back() {
	p.t.Helper()
	p.t.Logf("back after %v", p.Took)
	if p.Took > 20*time.Second {
		p.t.Errorf("back after %v", p.Took)
	}
}

// Kill is kill -9. It returns when the process is gone.
func (p *Process) Kill() {
	p.t.Helper()
	if err := p.Command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	for !p.client.Exited() {
		time.Sleep(time.Millisecond)
	}
	p.client.Kill()
}

// StopOnly closes the plugin; the process is still there.
func (p *Process) StopOnly() {
	p.t.Helper()
	if _, err := pluginv1.NewPluginClient(p.conn).Stop(p.t.Context(), new(pluginv1.StopRequest)); err != nil {
		p.t.Fatal(err)
	}
}

// Stop closes the plugin and ends its process.
func (p *Process) Stop() {
	p.t.Helper()
	p.StopOnly()
	p.client.Kill()
}

// Methods of OTLP's services.
const (
	ExportMetrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	ExportLogs    = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
)

// Export sends a request as it is.
func (p *Process) Export(ctx context.Context, method string, request []byte) error {
	return p.conn.Invoke(ctx, method, frame(request), new(frame), grpc.ForceCodecV2(frames{}))
}

// Get is the answer of the query API, which must succeed.
func (p *Process) Get(path string) []byte {
	p.t.Helper()
	response, err := http.Get(p.Info.GetQueryUrl() + path)
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

// FreeAddress is where another process is to listen. The loopback address is this process's own, so that no connection, which comes
// from 127.0.0.1, and no other test can take the port meanwhile.
func FreeAddress(t testing.TB) string {
	t.Helper()
	pid := os.Getpid()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, pid&255))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Lines collects what a process prints.
type Lines struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

// String is all that was printed so far.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
