package xds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// xds is the extension `xds`.
type xds struct {
	cfg     *Config
	set     component.TelemetrySettings
	cache   *Cache
	overlay *overlay

	files    *files
	server   *Server
	grpc     *grpc.Server
	listener net.Listener
	observed metric.Registration
	unwatch  func()
	told     []placed
	cancel   context.CancelFunc
	running  sync.WaitGroup
	begin    func() // serves from then on, once
}

func newXDS(cfg *Config, set component.TelemetrySettings) *xds {
	cache := NewCache()
	return &xds{cfg: cfg, set: set, cache: cache, overlay: newOverlay(cache)}
}

// watcher decides what is served.
type watcher interface {
	// WatchServing calls apply at once with what is served, and then with each change, until stop is called.
	WatchServing(apply func(*Serving)) (stop func())
}

// placed wants to know where endpoints are: whoever takes them out goes by it.
type placed interface {
	// Place is told which subjects serve the same, by the name of their cluster, and which endpoints are on a machine, by its subject.
	Place(clusters, machines map[string][]string)
}

// Start reads the files and binds the port. It is served as soon as it is known what is: whoever connects before waits, and keeps what he has.
func (x *xds) Start(ctx context.Context, host component.Host) error {
	if err := x.start(ctx, host); err != nil {
		return errors.Join(fmt.Errorf("xds: %w", err), x.Shutdown(ctx))
	}
	return nil
}

func (x *xds) start(ctx context.Context, host component.Host) (err error) {
	if x.files, err = openFiles(x.cfg, x.set.Logger); err != nil {
		return err
	}
	if x.grpc, err = x.cfg.ToServer(ctx, host.GetExtensions(), x.set, configgrpc.WithGrpcServerOption(ServerOption())); err != nil {
		return err
	}
	x.server = NewServer(x.cache, Options{Logger: x.set.Logger, Meter: x.set.MeterProvider})
	x.server.Register(x.grpc)
	if x.observed, err = x.observe(x.set.MeterProvider); err != nil {
		return err
	}
	if x.listener, err = x.cfg.NetAddr.Listen(ctx); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("endpoint: %w: end what listens there, or set another endpoint", err)
		}
		return err
	}
	x.begin = sync.OnceFunc(func() { x.serve(host) })
	for _, extension := range host.GetExtensions() {
		if p, ok := extension.(placed); ok {
			x.told = append(x.told, p)
		}
		if console, ok := extension.(mux); ok {
			console.Handle("GET /api/v1/xds", http.HandlerFunc(x.show))
		}
	}
	x.take(x.files.now())
	for _, extension := range host.GetExtensions() {
		if w, ok := extension.(watcher); ok {
			x.unwatch = w.WatchServing(x.apply)
		}
	}
	if x.unwatch == nil {
		x.apply(&Serving{})
	}
	var following context.Context
	following, x.cancel = context.WithCancel(context.WithoutCancel(ctx))
	var from source = x.files
	x.running.Go(func() {
		if err := from.Run(following, x.take); err != nil {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

// take takes up what there is to serve.
func (x *xds) take(content *Content) {
	x.check(x.overlay.guard.do(func() error {
		for _, p := range x.told {
			p.Place(content.groups())
		}
		return x.overlay.setContent(content)
	}))
}

// apply takes up what is decided. Nil tells that nothing is known yet.
func (x *xds) apply(s *Serving) {
	if s == nil {
		return
	}
	x.check(x.overlay.guard.do(func() error {
		err := x.overlay.setServing(s)
		x.begin()
		return err
	}))
}

// check logs what must not happen: it costs one resource, not the gateway.
func (x *xds) check(err error) {
	if err != nil {
		x.set.Logger.Error("A bug: please report it. Resources keep their last state", zap.Error(err))
	}
}

func (x *xds) serve(host component.Host) {
	x.running.Go(func() {
		if err := x.grpc.Serve(x.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
}

// Shutdown ends the streams. Clients keep what they have.
func (x *xds) Shutdown(context.Context) error {
	if x.unwatch != nil {
		x.unwatch()
	}
	if x.cancel != nil {
		x.cancel()
	}
	if x.server != nil {
		x.server.Close()
	}
	if x.grpc != nil {
		x.grpc.Stop()
	}
	if x.listener != nil {
		_ = x.listener.Close() // gRPC has, if it served
	}
	x.running.Wait()
	if x.observed == nil {
		return nil
	}
	return x.observed.Unregister()
}

// observe registers what the README lists, besides what the server has.
func (x *xds) observe(provider metric.MeterProvider) (metric.Registration, error) {
	i := instruments{meter: provider.Meter("github.com/lockkeeper/lockkeeper/xds")}
	endpoints := i.gauge("lockkeeper_xds_endpoints", "Endpoints of all clusters, by what became of them.")
	unplaced := i.gauge("lockkeeper_xds_unplaced_clusters", "Clusters with endpoints in an IDC of which nothing is known: mesh weights do not apply to them.")
	unweighted := i.gauge("lockkeeper_xds_unweighted_routes", "Edge routes none of whose IDCs has a weight: they keep those of the file.")
	failed := i.counter("lockkeeper_xds_reload_errors_total", "Times that a file was found with new mistakes, or not at all; the last good one stays at work.")
	panics := i.counter("lockkeeper_xds_panics_total", "Bugs of the gateway that cost one part what is new, or a stream, by part.")
	if err := errors.Join(i.errs...); err != nil {
		return nil, err
	}
	return i.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		total, clusters, routes := x.overlay.counts()
		for fate, name := range fateNames() {
			o.ObserveInt64(endpoints, total.endpoints[fate], label("state", name))
		}
		o.ObserveInt64(unplaced, clusters)
		o.ObserveInt64(unweighted, routes)
		o.ObserveInt64(failed, x.files.failed.Load())
		o.ObserveInt64(panics, x.server.guard.caught.Load(), label("part", "stream"))
		o.ObserveInt64(panics, x.overlay.guard.caught.Load(), label("part", "overlay"))
		o.ObserveInt64(panics, x.files.guard.caught.Load(), label("part", "source"))
		return nil
	}, i.all...)
}
