package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// The test binary is three programs: the tests, a plugin (links to it named kind-name are the plugin binaries), and
// a gateway that can be killed.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(sdk.Handshake().MagicCookieKey) != "":
		runPlugin()
	case os.Getenv(gatewayDirectory) != "":
		runGateway()
	default:
		goleak.VerifyTestMain(m)
	}
}

// behaviour is the plugin's configuration: what it does wrong.
type behaviour struct {
	Reject     bool   `json:"reject"`      // Configure names a wrong key
	Block      bool   `json:"block"`       // Configure takes for ever
	Locked     string `json:"locked"`      // Configure fails for the moment once; this is the file that remembers
	Die        bool   `json:"die"`         // Configure ends the process
	Crash      bool   `json:"crash"`       // ends soon after it was started
	Sick       bool   `json:"sick"`        // Health fails
	Noise      bool   `json:"noise"`       // prints to stdout and stderr in Configure
	Kind       string `json:"kind"`        // what Info says
	IgnorePipe bool   `json:"ignore_pipe"` // does not notice that the gateway is gone
	IgnoreTerm bool   `json:"ignore_term"`
	Secret     string `json:"secret"`
	Leak       bool   `json:"leak"`   // takes more and more memory
	Flood      bool   `json:"flood"`  // prints without end
	Slow       string `json:"slow"`   // Configure takes this long
	Fault      string `json:"fault"`  // Configure does what this file says, as long as it exists
	Tell       string `json:"tell"`   // prints its configuration in many forms, and ends in this way
	Remember   string `json:"dsn"`    // a secret
	Webhook    string `json:"hook"`   // a URL with a secret in it
	Bearer     []any  `json:"tokens"` // secrets
	Inbox      string `json:"inbox"`  // file that takes what Notify was sent
	Refuse     string `json:"refuse"` // what Notify says instead
}

// testPlugin is a plugin written against the wire alone. Its version tells what it was given.
type testPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedNotificationServer
	does    behaviour
	request *pluginv1.ConfigureRequest
}

func runPlugin() {
	switch filepath.Base(os.Args[0]) {
	case "storage-noisy":
		fmt.Println("Welcome to this plugin!")
	case "storage-broken":
		fmt.Fprintln(os.Stderr, `{"@level":"error","@message":"open data: permission denied"}`)
		os.Exit(3)
	}
	signal.Ignore(os.Interrupt)
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: sdk.Handshake(),
		Plugins:         goplugin.PluginSet{sdk.PluginKey: &testPlugin{}},
		GRPCServer:      goplugin.DefaultGRPCServer,
	})
}

func (p *testPlugin) GRPCServer(_ *goplugin.GRPCBroker, server *grpc.Server) error {
	pluginv1.RegisterPluginServer(server, p)
	pluginv1.RegisterNotificationServer(server, p)
	return nil
}

func (*testPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin is no client")
}

func (p *testPlugin) Configure(ctx context.Context, request *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	p.request = request
	p.does.Kind = "storage"
	if err := json.Unmarshal(request.GetConfig(), &p.does); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := p.misbehave(ctx); err != nil {
		return nil, err
	}
	switch {
	case p.does.Reject:
		return nil, status.Error(codes.InvalidArgument, `unknown key "retenion"`)
	case p.does.Block:
		fmt.Fprintln(os.NewFile(2, "stderr"), "blocking")
		<-ctx.Done()
		return nil, ctx.Err()
	case p.does.Locked != "" && os.Mkdir(p.does.Locked, 0o700) == nil:
		return nil, status.Error(codes.Unavailable, "the data is locked by another process")
	case p.does.Die:
		panic("no space left")
	case p.does.Noise:
		fmt.Println("hello from stdout")
		fmt.Fprintln(os.NewFile(1, "stdout"), "hello from descriptor 1")
		fmt.Fprintln(os.Stderr, `{"@level":"warn","@message":"hello from stderr","answer":42}`)
	}
	if p.does.IgnoreTerm {
		signal.Ignore(syscall.SIGTERM)
	}
	if !p.does.IgnorePipe {
		go func() {
			_, _ = io.Copy(io.Discard, os.NewFile(3, "host"))
			os.Exit(5)
		}()
	}
	listener, err := net.Listen("tcp", request.GetListen())
	if err != nil {
		return nil, err
	}
	go func() {
		for conns := []net.Conn{}; ; { // held open until the process ends
			if conn, err := listener.Accept(); err == nil {
				conns = append(conns, conn)
			}
		}
	}()
	return &pluginv1.ConfigureResponse{}, nil
}

func (p *testPlugin) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	return &pluginv1.InfoResponse{
		Kind:     p.does.Kind,
		QueryUrl: "http://" + p.request.GetListen(),
		Version:  p.request.GetName() + " " + string(p.request.GetConfig()) + " " + strings.Join(os.Environ(), " "),
	}, nil
}

func (p *testPlugin) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	if p.does.Crash {
		time.AfterFunc(100*time.Millisecond, func() { os.Exit(4) })
	}
	if p.does.Sick {
		return nil, status.Error(codes.Unavailable, "disk full")
	}
	return &pluginv1.HealthResponse{}, nil
}

func (p *testPlugin) Notify(_ context.Context, r *pluginv1.NotifyRequest) (*pluginv1.NotifyResponse, error) {
	if p.does.Refuse != "" {
		return nil, status.Error(codes.InvalidArgument, p.does.Refuse)
	}
	return &pluginv1.NotifyResponse{}, os.WriteFile(p.does.Inbox, r.GetGroup(), 0o600)
}

func (p *testPlugin) Stop(context.Context, *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	fmt.Fprintln(os.NewFile(2, "stderr"), "flushed") // os.Stderr is go-plugin's, which hears no last words
	return &pluginv1.StopResponse{}, nil
}
