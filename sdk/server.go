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

// The buffers and windows of the transport: a batch of 1,000 samples is about 300 kB, and is read in a few
// system calls without waiting for the window.
const (
	windowBytes = 1 << 20
	bufferBytes = 128 << 10
)

// ServerOptions are the options of a gRPC server on which RegisterStorage is called.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.UnaryInterceptor(recoverPanic),
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(windowBytes),
		grpc.ReadBufferSize(bufferBytes),
		grpc.WriteBufferSize(bufferBytes),
	}
}

// DialOptions are what the gateway's side of the connection needs to keep up with ServerOptions.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithInitialWindowSize(windowBytes),
		grpc.WithInitialConnWindowSize(windowBytes),
		grpc.WithReadBufferSize(bufferBytes),
		grpc.WithWriteBufferSize(bufferBytes),
	}
}

// recoverPanic makes a panic of a plugin an error of the one call it happened in. What was asked for would
// panic again, so the error is permanent.
func recoverPanic(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "[ERROR] panic in %s: %v\n%s", info.FullMethod, p, debug.Stack())
			err = status.Errorf(codes.Internal, "panic: %v", p)
		}
	}()
	return handle(ctx, request)
}

// RegisterStorage registers the services of a storage plugin on s, which was made with ServerOptions. It is for
// a plugin that is a server of its own at an address; ServeStorage is for one that the gateway starts.
// The func it returns closes the plugin if it is open.
func RegisterStorage(s grpc.ServiceRegistrar, open OpenStorage) (stop func(context.Context) error) {
	server := &storageServer{open: open}
	pluginv1.RegisterPluginServer(s, server)
	s.RegisterService(exportService("opentelemetry.proto.collector.metrics.v1.MetricsService",
		"opentelemetry/proto/collector/metrics/v1/metrics_service.proto", server.exportMetrics), server)
	s.RegisterService(exportService("opentelemetry.proto.collector.logs.v1.LogsService",
		"opentelemetry/proto/collector/logs/v1/logs_service.proto", server.exportLogs), server)
	return server.stop
}

// storageServer is the life of one storage plugin: configured once, used, stopped once.
type storageServer struct {
	pluginv1.UnimplementedPluginServer
	open OpenStorage

	life    sync.Mutex   // held by Configure and Stop
	calls   sync.RWMutex // read-held by each call that uses storage
	storage *Storage
	stopped bool
}

func (s *storageServer) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	s.life.Lock()
	defer s.life.Unlock()
	if s.stopped {
		return nil, status.Error(codes.FailedPrecondition, "the plugin was stopped")
	}
	if s.storage != nil {
		return nil, status.Error(codes.FailedPrecondition, "the plugin is configured already")
	}
	storage, err := s.open(ctx, NewConfig(r.GetName(), r.GetListen(), r.GetConfig()))
	if err != nil {
		return nil, statusError(err)
	}
	s.calls.Lock()
	s.storage = storage
	s.calls.Unlock()
	return new(pluginv1.ConfigureResponse), nil
}

// use calls f with the open storage, which stays open until f returns.
func (s *storageServer) use(f func(*Storage) error) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	if s.stopped {
		return status.Error(codes.Unavailable, "the plugin was stopped")
	}
	if s.storage == nil {
		return status.Error(codes.FailedPrecondition, "the plugin is not configured yet")
	}
	return statusError(f(s.storage))
}

func (s *storageServer) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	info := &pluginv1.InfoResponse{Kind: "storage", Version: version()}
	return info, s.use(func(storage *Storage) error {
		info.QueryUrl, info.RemoteWriteUrl = storage.QueryURL, storage.RemoteWriteURL
		return nil
	})
}

func (s *storageServer) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return new(pluginv1.HealthResponse), s.use(func(storage *Storage) error {
		if storage.Health == nil {
			return nil
		}
		return storage.Health(ctx)
	})
}

func (s *storageServer) exportMetrics(ctx context.Context, request []byte) error {
	return s.use(func(storage *Storage) error {
		if storage.WriteMetrics == nil {
			return status.Error(codes.Unimplemented, "this plugin does not store metrics")
		}
		return storage.WriteMetrics(ctx, Metrics{request})
	})
}

func (s *storageServer) exportLogs(ctx context.Context, request []byte) error {
	return s.use(func(storage *Storage) error {
		if storage.WriteLogs == nil {
			return status.Error(codes.Unimplemented, "this plugin does not store logs")
		}
		return storage.WriteLogs(ctx, Logs{request})
	})
}

func (s *storageServer) Stop(ctx context.Context, _ *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	return new(pluginv1.StopResponse), statusError(s.stop(ctx))
}

// stop waits for the calls under way and closes the storage. A second stop does nothing.
func (s *storageServer) stop(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	if s.storage == nil || s.storage.Stop == nil {
		return nil
	}
	return s.storage.Stop(ctx)
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
