package sdk

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// stopTimeout bounds the flush of a plugin that has to end by itself.
const stopTimeout = 5 * time.Second

// ClientPlugins is what the gateway's side of go-plugin dispenses: PluginKey gives the *grpc.ClientConn
// of the plugin's process itself, on which every service of the wire is called.
func ClientPlugins() goplugin.PluginSet {
	return goplugin.PluginSet{PluginKey: launcher{}}
}

// launcher ties go-plugin to the services of one plugin. Only the plugin's side sets register.
type launcher struct {
	goplugin.NetRPCUnsupportedPlugin
	register func(*grpc.Server)
}

func (l launcher) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	l.register(s)
	return nil
}

func (launcher) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// ServeStorage runs a storage plugin in a process that the gateway started, and is all that its main has to call.
// It returns when the gateway has closed the plugin; the process then ends. It also ends, after Stop, on SIGTERM
// and when the gateway is gone. Whatever the plugin prints to standard error or output goes to the gateway's log,
// with the level that a line starts with: [DEBUG], [INFO], [WARN] or [ERROR].
func ServeStorage(open func(ctx context.Context, c Config) (*Storage, error)) {
	serve(RegisterStorage, open)
}

// ServeNotification is to a notification plugin what ServeStorage is to a storage plugin.
func ServeNotification(open func(ctx context.Context, c Config) (*Notification, error)) {
	serve(RegisterNotification, open)
}

// ServeAlerting is to an alerting plugin what ServeStorage is to a storage plugin.
func ServeAlerting(open func(ctx context.Context, c Config) (*Alerting, error)) {
	serve(RegisterAlerting, open)
}

// serve is the program of a plugin: open, as register registers it.
func serve[P openPlugin, Open ~func(context.Context, Config) (P, error)](
	register func(grpc.ServiceRegistrar, Open) func(context.Context) error, open Open,
) {
	if handshake := Handshake(); os.Getenv(handshake.MagicCookieKey) != handshake.MagicCookieValue {
		fmt.Fprintf(os.Stderr, "%s is a plugin of the Lockkeeper gateway and does nothing by itself: put it into the gateway's "+
			"plugins directory and name it in the gateway's configuration under extensions: plugins: processes\n", filepath.Base(os.Args[0]))
		os.Exit(1)
	}
	// go-plugin takes both over for a stream that the gateway does not read.
	stderr := os.Stderr
	openHere := func(ctx context.Context, c Config) (P, error) {
		os.Stdout, os.Stderr = stderr, stderr
		return open(ctx, c)
	}
	end := func() {}
	registerHere := func(s *grpc.Server) {
		stop := register(s, openHere)
		end = sync.OnceFunc(func() { stopInTime(stop, stderr) })
		go waitForEnd(func() { end(); s.Stop() })
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         goplugin.PluginSet{PluginKey: launcher{register: registerHere}},
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: stderr, JSONFormat: true}),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, ServerOptions()...)...)
		},
	})
	end()
}

// waitForEnd calls end on SIGTERM, or when the pipe that the gateway left open is closed by the gateway's end.
func waitForEnd(end func()) {
	over := make(chan os.Signal, 1)
	signal.Notify(over, syscall.SIGTERM)
	if fd, err := strconv.Atoi(os.Getenv(HostPipeEnv)); err == nil {
		pipe := os.NewFile(uintptr(fd), "host pipe")
		go func() {
			_, _ = io.Copy(io.Discard, pipe)
			over <- syscall.SIGTERM
		}()
	}
	<-over
	end()
}

// stopInTime does not wait for a plugin that hangs, so that its process ends all the same.
func stopInTime(stop func(context.Context) error, stderr io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- stop(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			fmt.Fprintf(stderr, "[ERROR] stop: %v\n", err)
		}
	case <-ctx.Done():
		fmt.Fprintf(stderr, "[ERROR] stop: not done after %v\n", stopTimeout)
	}
}
