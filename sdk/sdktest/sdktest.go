// Package sdktest is the conformance suite: what the gateway relies on, asked of a plugin as the gateway would.
// A plugin's test is one call, in process or of the finished binary.
package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	answerWithin = 10 * time.Second
	stopWithin   = 5 * time.Second // what the gateway grants before it kills
)

// Storage runs the suite on a storage plugin in this process. config is a configuration that the plugin accepts;
// open is called more than once, but one plugin is closed before the next is opened.
func Storage(t *testing.T, open sdk.OpenStorage, config map[string]any) {
	t.Helper()
	testStorage(t, config, func(t *testing.T) grpc.ClientConnInterface { return serve(t, open) })
}

// StorageProcess runs the suite on the binary of a storage plugin, started as the gateway starts it.
func StorageProcess(t *testing.T, binary string, config map[string]any) {
	t.Helper()
	testStorage(t, config, func(t *testing.T) grpc.ClientConnInterface { return launch(t, binary).conn })
	t.Run("run by hand", func(t *testing.T) { testByHand(t, binary) })
	t.Run("ends with its host", func(t *testing.T) { testEnd(t, binary, config, func(p *process) { p.host.Close() }) })
	t.Run("ends on SIGTERM", func(t *testing.T) { testEnd(t, binary, config, (*process).terminate) })
}

// serve is the plugin behind a real gRPC connection on loopback.
func serve(t *testing.T, open sdk.OpenStorage) grpc.ClientConnInterface {
	t.Helper()
	server := grpc.NewServer(sdk.ServerOptions()...)
	stop := sdk.RegisterStorage(server, open)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), append(sdk.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
		if err := stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// process is a plugin in a process of its own.
type process struct {
	command *exec.Cmd
	client  *goplugin.Client
	conn    *grpc.ClientConn
	host    *os.File // the plugin lives while this is open
}

func launch(t *testing.T, binary string) *process {
	t.Helper()
	life, host, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	tlsConfig, clientCert, err := sdk.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary)
	command.ExtraFiles = []*os.File{life}
	command.Env = []string{sdk.HostPipeEnv + "=" + strconv.Itoa(3), "TMPDIR=" + os.TempDir(), clientCert}
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.ClientPlugins(),
		Cmd:              command,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		TLSConfig:        tlsConfig,
		SkipHostEnv:      true,
		GRPCDialOptions:  sdk.DialOptions(),
		Stderr:           t.Output(),
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(func() {
		client.Kill()
		_ = host.Close()
	})
	protocol, err := client.Client()
	_ = life.Close()
	if err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	dispensed, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		t.Fatal(err)
	}
	return &process{command: command, client: client, conn: dispensed.(*grpc.ClientConn), host: host}
}

func (p *process) terminate() { _ = p.command.Process.Signal(syscall.SIGTERM) }

// testByHand runs the binary as a person might.
func testByHand(t *testing.T, binary string) {
	var stdout, stderr strings.Builder
	command := exec.CommandContext(t.Context(), binary)
	command.Stdout, command.Stderr = &stdout, &stderr
	command.Env = []string{}
	err := command.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("run by hand: %v, want exit code 1", err)
	}
	if stdout.Len() > 0 {
		t.Errorf("run by hand it printed %q to standard output, which is go-plugin's", &stdout)
	}
	if strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("run by hand it printed %q to standard error, want one line", &stderr)
	}
}

// testEnd configures the plugin, ends its host and waits for the process to end by itself.
func testEnd(t *testing.T, binary string, config map[string]any, end func(*process)) {
	p := launch(t, binary)
	configure(t, p.conn, config)
	end(p)
	deadline := time.NewTimer(answerWithin)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !p.client.Exited() {
		select {
		case <-deadline.C:
			t.Fatalf("the process was still there %v later", answerWithin)
		case <-poll.C:
		}
	}
}

func encode(t *testing.T, config map[string]any) []byte {
	t.Helper()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
