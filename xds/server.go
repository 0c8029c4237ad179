package xds

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Options are what a Server tells others by. The zero value tells nobody.
type Options struct {
	Logger *zap.Logger
	Meter  metric.MeterProvider
	NACK   func(NACK) // called for each response that a client refuses; it must return soon
}

// NACK tells that a client did not accept what it was sent, and goes on with what it has. It is not sent the same again, unless it asks.
type NACK struct {
	Node    string
	TypeURL string
	Version string // of all that is served of the type
	Why     string // as the client says
}

// Server serves a Cache by xDS: aggregated, and each type by itself; the state of the world, and delta.
type Server struct {
	cache  *Cache
	logger *zap.Logger
	onNACK func(NACK)
	guard  guard

	once   sync.Once
	closed chan struct{}

	mu      sync.Mutex
	logged  map[NACK]struct{}
	metrics metric.Registration

	pushes, nacks    [kinds]atomic.Int64
	refused          [refusals]atomic.Int64
	stale, throttled atomic.Int64
	duration         metric.Float64Histogram // nil: not measured
	byType           [kinds]metric.MeasurementOption
}

// NewServer returns a server of what is, and will be, in the cache. Close it.
func NewServer(cache *Cache, options Options) *Server {
	s := &Server{cache: cache, logger: options.Logger, onNACK: options.NACK, closed: make(chan struct{}), logged: map[NACK]struct{}{}}
	if s.logger == nil {
		s.logger = zap.NewNop()
	}
	if options.Meter != nil {
		s.observe(options.Meter)
	}
	return s
}

// Close ends all streams, so that a gRPC server can stop gracefully. Clients keep what they have.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closed)
		if s.metrics != nil {
			_ = s.metrics.Unregister()
		}
	})
}

// Register adds the services to a gRPC server, which must be made with ServerOption.
func (s *Server) Register(to *grpc.Server) {
	for _, service := range []struct{ name, method, only string }{
		{"discovery.v3.Aggregated", "AggregatedResources", ""},
		{"cluster.v3.Cluster", "Clusters", ClusterType},
		{"endpoint.v3.Endpoint", "Endpoints", AssignmentType},
		{"listener.v3.Listener", "Listeners", ListenerType},
		{"route.v3.Route", "Routes", RouteType},
	} {
		stream := func(method string, delta bool) grpc.StreamDesc {
			return grpc.StreamDesc{StreamName: method, ClientStreams: true, ServerStreams: true, Handler: func(_ any, gs grpc.ServerStream) error {
				return s.guarded((&stream{server: s, grpc: gs, delta: delta, only: service.only, wake: make(chan struct{}, 1)}).run)
			}}
		}
		to.RegisterService(&grpc.ServiceDesc{
			ServiceName: "envoy.service." + service.name + "DiscoveryService",
			HandlerType: (*any)(nil),
			Streams:     []grpc.StreamDesc{stream("Stream"+service.method, false), stream("Delta"+service.method, true)},
		}, nil)
	}
}

// guarded runs a part of a stream, and ends the stream if it panics: clients keep what they have, and come again.
func (s *Server) guarded(part func() error) error {
	err := s.guard.do(part)
	var panicked *bug
	if !errors.As(err, &panicked) {
		return err
	}
	if panicked.full {
		s.logger.Error("A bug: please report it. It ended a stream", zap.Error(err))
	}
	return status.Error(codes.Internal, "a bug of the gateway ended the stream: its log tells more")
}

// nack counts a refusal, and logs the first of each node, type and version.
func (s *Server) nack(st *stream, sub *subscription, why string) {
	n := NACK{Node: clip(st.node), TypeURL: clip(sub.typeURL), Version: sub.version, Why: clip(why)}
	s.nacks[kind(n.TypeURL)].Add(1)
	if s.firstOf(n) {
		s.logger.Warn("A client refuses what it was sent, and goes on with what it has: correct the resource that it names",
			zap.String("node", n.Node), zap.String("type", n.TypeURL), zap.String("version", n.Version), zap.String("why", n.Why))
	}
	if s.onNACK != nil {
		s.onNACK(n)
	}
}

// maxLogged is how many refusals are remembered, so that they are not logged again.
const maxLogged = 10_000

func (s *Server) firstOf(n NACK) bool {
	n.Why = ""
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.logged[n]; known {
		return false
	}
	if len(s.logged) >= maxLogged {
		clear(s.logged)
	}
	s.logged[n] = struct{}{}
	return true
}

// clip bounds what a client says, and what is kept of it.
func clip(s string) string {
	const most = 1 << 10
	if len(s) <= most {
		return s
	}
	return strings.Clone(strings.ToValidUTF8(s[:most], ""))
}

func (s *Server) refuse(reason int) { s.refused[reason].Add(1) }

// pushed counts a response that was handed to the transport.
func (s *Server) pushed(r *response) {
	k := kind(r.typeURL)
	s.pushes[k].Add(1)
	if s.duration != nil && !r.changed.IsZero() {
		s.duration.Record(context.Background(), time.Since(r.changed).Seconds(), s.byType[k])
	}
}
