package sdk

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// The buffers and windows of the transport: a batch of 1,000 samples is about 300 kB, and is read in a few
// system calls without waiting for the window.
const (
	windowBytes = 1 << 20
	bufferBytes = 128 << 10
)

// ServerOptions are the options of a gRPC server on which one of the Register funcs is called.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.UnaryInterceptor(recoverPanic),
		grpc.StreamInterceptor(recoverStreamPanic),
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		// The gateway asks whether a peer that is silent for 30 s is still there.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}),
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

// RegisterStorage registers the services of a storage plugin on s, which was made with ServerOptions. It is for
// a plugin that is a server of its own at an address; ServeStorage is for one that the gateway starts.
// The func it returns closes the plugin if it is open.
func RegisterStorage(s grpc.ServiceRegistrar, open OpenStorage) (stop func(context.Context) error) {
	server := storageServer{newLife(open)}
	pluginv1.RegisterPluginServer(s, server)
	s.RegisterService(exportService("opentelemetry.proto.collector.metrics.v1.MetricsService",
		"opentelemetry/proto/collector/metrics/v1/metrics_service.proto", server.exportMetrics), server)
	s.RegisterService(exportService("opentelemetry.proto.collector.logs.v1.LogsService",
		"opentelemetry/proto/collector/logs/v1/logs_service.proto", server.exportLogs), server)
	return server.stop
}

type storageServer struct{ *life[*Storage] }

func (s storageServer) exportMetrics(ctx context.Context, request []byte) error {
	return s.use(func(storage *Storage) error {
		if storage.WriteMetrics == nil {
			return status.Error(codes.Unimplemented, "this plugin does not store metrics")
		}
		return storage.WriteMetrics(ctx, Metrics{request})
	})
}

func (s storageServer) exportLogs(ctx context.Context, request []byte) error {
	return s.use(func(storage *Storage) error {
		if storage.WriteLogs == nil {
			return status.Error(codes.Unimplemented, "this plugin does not store logs")
		}
		return storage.WriteLogs(ctx, Logs{request})
	})
}

// RegisterNotification is to a notification plugin what RegisterStorage is to a storage plugin.
func RegisterNotification(s grpc.ServiceRegistrar, open OpenNotification) (stop func(context.Context) error) {
	server := &notificationServer{life: newLife(open)}
	pluginv1.RegisterPluginServer(s, server.life)
	pluginv1.RegisterNotificationServer(s, server)
	return server.life.stop
}

type notificationServer struct {
	pluginv1.UnimplementedNotificationServer
	life *life[*Notification]
}

func (s *notificationServer) Notify(ctx context.Context, r *pluginv1.NotifyRequest) (*pluginv1.NotifyResponse, error) {
	return new(pluginv1.NotifyResponse), s.life.use(func(plugin *Notification) error {
		group, err := parseGroup(r.GetGroup())
		if err != nil {
			return Permanent(err)
		}
		return plugin.Notify(ctx, group)
	})
}

// RegisterAlerting is to an alerting plugin what RegisterStorage is to a storage plugin.
func RegisterAlerting(s grpc.ServiceRegistrar, open OpenAlerting) (stop func(context.Context) error) {
	server := &alertingServer{life: newLife(open), turn: make(chan struct{}, 1)}
	pluginv1.RegisterPluginServer(s, server.life)
	pluginv1.RegisterAlertingServer(s, server)
	return server.life.stop
}
