package dns

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/lockkeeper/lockkeeper/xds"
)

// smallBuffer is less than a receive buffer should be: a pause of 50 ms costs queries at 100,000 a second.
const smallBuffer = 1 << 20

// server is the extension `dns`.
type server struct {
	cfg   *Config
	set   component.TelemetrySettings
	zones []Zone

	compile   func([]Zone, *xds.Serving, uint32, *table) (*table, error)
	table     atomic.Pointer[table]
	limiter   *limiter
	panics    *panics
	kept      *Ports
	open      func(ctx context.Context, endpoint string) (*port, error)
	bound     []*port     // by endpoint; nil: it could not be bound
	answering [][]*worker // by endpoint
	observed  metric.Registration

	begin   func()  // once: answer
	watcher watcher // nil: nobody decides what is served
	unwatch func()

	patience time.Duration // with who decides, once all has started
	late     *time.Timer

	mu      sync.Mutex // of what follows, and of changes of table
	serials serials
	now     status
	ended   bool // its ports are another one's
}

// decisionPatience is longer than a gateway waits for what others know.
const decisionPatience = 10 * time.Second

// status is what became of the last Serving.
type status struct {
	made            time.Time // when the table at work was
	swaps, failures int64
	failed          error // why there is none of the last Serving; nil: there is
	since           time.Time
}

func (s *server) status() status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// newServer makes a server whose ports are kept for the next one; nil: they are closed with it.
func newServer(cfg *Config, set component.TelemetrySettings, kept *Ports) *server {
	if kept == nil {
		kept = &Ports{closed: true}
	}
	s := &server{
		cfg: cfg, set: set, zones: cfg.zones(), compile: compile, kept: kept, open: openPort,
		limiter: newLimiter(cfg.RateLimit), panics: &panics{log: set.Logger}, serials: serials{loaded: time.Now()}, patience: decisionPatience,
	}
	s.begin = sync.OnceFunc(s.serve)
	return s
}

// Start binds the sockets. They answer as soon as it is known what is served.
func (s *server) Start(ctx context.Context, host component.Host) error {
	if err := s.start(ctx, host); err != nil {
		return errors.Join(err, s.Shutdown(ctx))
	}
	return nil
}

func (s *server) start(ctx context.Context, host component.Host) (err error) {
	if err := s.bind(ctx); err != nil {
		return err
	}
	s.warnOfBuffer()
	if s.observed, err = s.observe(s.set.MeterProvider); err != nil {
		return err
	}
	for _, extension := range host.GetExtensions() {
		if m, ok := extension.(mux); ok {
			s.serveAPI(m)
		}
		if w, ok := extension.(watcher); ok {
			s.watcher, s.unwatch = w, w.WatchServing(s.apply)
		}
	}
	if s.watcher == nil {
		s.swap(nil)
	}
	return nil
}

// watcher decides what is served.
type watcher interface {
	// WatchServing calls apply at once with what is served, and then with each change, until stop is called.
	WatchServing(apply func(*xds.Serving)) (stop func())
}

// apply takes up what is to be served. Nil tells that nothing is known yet.
func (s *server) apply(serving *xds.Serving) {
	if serving != nil {
		s.swap(serving)
	}
}

// swap puts a new table in the place of the last, which stays if none can be made. Queries under way are answered from the table that they
// found. The first one opens the ports. Nil, all alike, takes nobody's place: what was decided may come at the same moment.
func (s *server) swap(serving *xds.Serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || serving == nil && s.table.Load() != nil {
		return
	}
	version := uint64(0)
	if serving != nil {
		version = serving.Version
	}
	made, err := s.compileSafely(serving, s.serials.next(version))
	if err != nil {
		s.now.failures++
		if s.now.failed == nil {
			s.now.since = time.Now()
			s.set.Logger.Error("what is served cannot be told by DNS: the last answers stay", zap.Error(err))
		}
		s.now.failed = err
		return
	}
	if s.table.Swap(made) != nil {
		s.now.swaps++
	}
	s.now.made, s.now.failed = time.Now(), nil
	s.begin()
}

// compileSafely makes a table and does not panic: whoever decides what is served goes on, and so do the last answers.
func (s *server) compileSafely(serving *xds.Serving, serial uint32) (made *table, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			made, err = nil, fmt.Errorf("a bug: please report it: %v\n%s", recovered, debug.Stack())
		}
	}()
	return s.compile(s.zones, serving, serial, s.table.Load())
}

// Ready implements extensioncapabilities.PipelineWatcher: now everything has started. Who decides what is served may have begun after this and is asked
// once more. One among other gateways hears them first. If it does not say within a while it is not waited for: an answer is better than none.
func (s *server) Ready() error {
	if s.table.Load() == nil && s.watcher != nil {
		s.unwatch()
		s.unwatch = s.watcher.WatchServing(s.apply)
		s.late = time.AfterFunc(s.patience, func() { s.swap(nil) })
	}
	return nil
}

// NotReady implements extensioncapabilities.PipelineWatcher.
func (*server) NotReady() error { return nil }

// Shutdown gives the ports back, once: after a start that failed the Collector calls it again. Where they are kept, they answer as they did until
// somebody else answers there.
func (s *server) Shutdown(context.Context) error {
	s.mu.Lock()
	ended := s.ended
	s.ended = true
	s.mu.Unlock()
	if ended {
		return nil
	}
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.late != nil {
		s.late.Stop()
	}
	var err error
	if s.observed != nil {
		err = s.observed.Unregister()
	}
	for _, p := range s.bound {
		if p != nil {
			s.kept.give(p)
		}
	}
	return err
}

// serve answers at all endpoints, in the place of whoever did before.
func (s *server) serve() {
	for i, p := range s.bound {
		p.hand(s.answering[i])
	}
}

// bind opens the endpoints, or takes them over. What is kept for somebody else is closed if it stands in the way.
func (s *server) bind(ctx context.Context) error {
	s.bound = make([]*port, len(s.cfg.Endpoints))
	for i, endpoint := range s.cfg.Endpoints {
		s.bound[i] = s.kept.take(endpoint)
	}
	for i, endpoint := range s.cfg.Endpoints {
		var err error
		if s.bound[i] == nil {
			s.bound[i], err = s.open(ctx, endpoint)
		}
		if errors.Is(err, syscall.EADDRINUSE) && s.kept.Release() > 0 {
			s.bound[i], err = s.open(ctx, endpoint)
		}
		if err != nil {
			return fmt.Errorf("dns::endpoint %q: %w", endpoint, explainBind(err))
		}
		var workers []*worker
		for range s.bound[i].answerers() {
			workers = append(workers, &worker{tally: &tally{}, table: &s.table, limiter: s.limiter, panics: s.panics})
		}
		s.answering = append(s.answering, workers)
	}
	return nil
}

func explainBind(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: end what listens there, or set another endpoint", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: a port below 1024 takes CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)", err)
	}
	return err
}

func (s *server) warnOfBuffer() {
	if smallest := s.buffer(); smallest < smallBuffer {
		s.set.Logger.Warn("the kernel gives the DNS sockets a small receive buffer: bursts of queries will be lost: sysctl -w net.core.rmem_max=4194304",
			zap.Int("bytes", smallest))
	}
}

// buffer is the smallest receive buffer.
func (s *server) buffer() int {
	smallest := receiveBuffer
	for _, p := range s.bound {
		for _, socket := range p.sockets {
			smallest = min(smallest, socket.buffer())
		}
	}
	return smallest
}
