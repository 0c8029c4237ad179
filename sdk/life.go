package sdk

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// openPlugin is a plugin of any kind.
type openPlugin interface {
	// describe fills in what Info answers, but for the version.
	describe(*pluginv1.InfoResponse)
	health(context.Context) error
	stop(context.Context) error
}

// life is that of one plugin: opened once, used, stopped once. It serves the service Plugin.
type life[P openPlugin] struct {
	pluginv1.UnimplementedPluginServer
	open func(context.Context, Config) (P, error)

	changes sync.Mutex   // held by Configure and Stop
	calls   sync.RWMutex // read-held by each call that uses plugin
	plugin  P
	config  Config // what plugin was opened with
	ready   bool
	stopped bool
	ending  context.Context // ends when Stop is called
	end     context.CancelFunc
}

func newLife[P openPlugin](open func(context.Context, Config) (P, error)) *life[P] {
	ending, end := context.WithCancel(context.Background())
	return &life[P]{open: open, ending: ending, end: end}
}

func (l *life[P]) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	l.changes.Lock()
	defer l.changes.Unlock()
	version, err := negotiate(r.GetProtocolVersion(), OldestProtocolVersion, ProtocolVersion)
	if err != nil {
		return nil, err
	}
	config := NewConfig(r.GetName(), r.GetListen(), r.GetConfig())
	switch {
	case l.stopped:
		return nil, status.Error(codes.Unavailable, "the plugin was stopped")
	case l.ready && !config.same(l.config):
		return nil, status.Error(codes.FailedPrecondition, "configured already, with other settings: restart the plugin to change them")
	case l.ready:
		return &pluginv1.ConfigureResponse{ProtocolVersion: version}, nil
	}
	plugin, err := l.open(ctx, config)
	if err != nil {
		return nil, statusError(err)
	}
	l.calls.Lock()
	l.plugin, l.ready, l.config = plugin, true, config
	l.calls.Unlock()
	return &pluginv1.ConfigureResponse{ProtocolVersion: version}, nil
}

// negotiate chooses the newest version that both sides speak. The gateway says its newest, and 0 means 1.
func negotiate(gateway, oldest, newest uint32) (uint32, error) {
	gateway = max(gateway, 1)
	if gateway < oldest {
		return 0, status.Errorf(codes.FailedPrecondition, "the plugin needs version %d of the plugin protocol, and the gateway speaks version %d: "+
			"update the gateway, or use an older release of the plugin", oldest, gateway)
	}
	return min(gateway, newest), nil
}

// use calls f with the open plugin, which stays open until f returns. Once Stop was called, it is refused at once.
func (l *life[P]) use(f func(P) error) error {
	stopped := status.Error(codes.Unavailable, "the plugin was stopped")
	if l.ending.Err() != nil {
		return stopped // the lock may be waited for until the last call has returned
	}
	l.calls.RLock()
	defer l.calls.RUnlock()
	if l.ending.Err() != nil {
		return stopped
	}
	if !l.ready {
		return status.Error(codes.FailedPrecondition, "the plugin is not configured yet")
	}
	return statusError(f(l.plugin))
}

func (l *life[P]) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	info := &pluginv1.InfoResponse{Version: version()}
	return info, l.use(func(plugin P) error {
		plugin.describe(info)
		return nil
	})
}

func (l *life[P]) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return new(pluginv1.HealthResponse), l.use(func(plugin P) error { return plugin.health(ctx) })
}

func (l *life[P]) Stop(ctx context.Context, _ *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	return new(pluginv1.StopResponse), statusError(l.stop(ctx))
}

// stop waits for the calls under way and closes the plugin. A second stop does nothing.
func (l *life[P]) stop(ctx context.Context) error {
	l.changes.Lock()
	defer l.changes.Unlock()
	l.end()
	l.calls.Lock()
	defer l.calls.Unlock()
	if l.stopped {
		return nil
	}
	l.stopped = true
	if !l.ready {
		return nil
	}
	return l.plugin.stop(ctx)
}

// recoverPanic makes a panic of a plugin an error of the one call it happened in. What was asked for would
// panic again, so the error is permanent.
func recoverPanic(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
	defer recovered(info.FullMethod, &err)
	return handle(ctx, request)
}

func recoverStreamPanic(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer recovered(info.FullMethod, &err)
	return handle(srv, stream)
}

func recovered(method string, err *error) {
	if p := recover(); p != nil {
		fmt.Fprintf(os.Stderr, "[ERROR] panic in %s: %v\n%s", method, p, debug.Stack())
		*err = status.Errorf(codes.Internal, "panic: %v", p)
	}
}

// call is f(ctx), or nil for a func that a plugin left out.
func call(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	return f(ctx)
}

// version is the version of the module that the plugin's program was built from, else its commit.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	if build.Main.Version != "" && build.Main.Version != "(devel)" {
		return build.Main.Version
	}
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "devel"
}
