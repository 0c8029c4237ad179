// Package alerting is the alert manager of the gateway. In: alerts, from alerting plugins, from Alertmanager's API and from
// the gateway itself. Out: groups of them, to notification plugins and to Alertmanager's own receivers. Grouping, inhibition, silences and
// the API are Alertmanager's; what must outlive the gateway is on disk at each change. It never queries the storage.
package alerting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiv2 "github.com/prometheus/alertmanager/api/v2"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"google.golang.org/grpc"
)

// plugins is what alerting needs of the extension that runs the plugins.
type plugins interface {
	// Conn gives a connection that survives restarts of the plugin, or an error that says which plugins there are.
	Conn(plugin string) (grpc.ClientConnInterface, error)

	// Plugins are the names of the plugins of a kind, sorted.
	Plugins(kind string) []string
}

// mux is what alerting needs of the console.
type mux interface {
	Handle(pattern string, handler http.Handler)
	HandleChange(role, pattern string, handler func(w http.ResponseWriter, r *http.Request, who string))
	HandlePush(role, pattern string, handler func(w http.ResponseWriter, r *http.Request, who string))
}

// alerting is the extension `alerting`.
type alerting struct {
	cfg     *Config
	log     *zap.Logger
	slog    *slog.Logger
	metrics *metrics

	lookEvery time.Duration // at config_file
	settling  time.Duration // until an alerting plugin has sent all that fires
	patience  time.Duration // with gateways that do not say what they know

	plugins    plugins
	peers      *peers // nil: there is no cluster
	external   *url.URL
	registry   *prometheus.Registry // Alertmanager's own metrics
	pipelines  *notify.PipelineBuilder
	dispatched *dispatch.DispatcherMetrics
	groups     marker.GroupMarker
	state      *state
	ready      ready
	api        *apiv2.API

	at      atomic.Pointer[delivery] // of the last good file
	cancel  context.CancelFunc
	running sync.WaitGroup
	quit    sync.Once
}

func newAlerting(cfg *Config, set component.TelemetrySettings) (*alerting, error) {
	readMatchers()
	m, err := newMetrics(set.MeterProvider)
	if err != nil {
		return nil, err
	}
	return &alerting{
		cfg: cfg, log: set.Logger, slog: slog.New(zapslog.NewHandler(set.Logger.Core())), metrics: m, lookEvery: followInterval, settling: settling,
		patience: readyPatience, ready: make(ready),
	}, nil
}

// Dependencies implements extensioncapabilities.Dependent: plugins run before anything is to be told, and until nothing is any more.
func (*alerting) Dependencies() []component.ID { return []component.ID{component.MustNewID("plugins")} }

// Start takes up what the last gateway has left.
func (a *alerting) Start(_ context.Context, host component.Host) error {
	if err := a.start(host); err != nil {
		return errors.Join(fmt.Errorf("alerting: %w", err), a.Shutdown(context.Background()))
	}
	return nil
}

func (a *alerting) start(host component.Host) error {
	console, parts := a.find(host)
	if a.plugins == nil {
		return errors.New("no extension runs plugins: add plugins to service::extensions")
	}
	if there := a.plugins.Plugins("storage"); a.cfg.Storage != "" && !slices.Contains(there, a.cfg.Storage) {
		return fmt.Errorf("storage: no storage plugin %q in extension plugins: it has %s", a.cfg.Storage, strings.Join(there, ", "))
	}
	var err error
	if a.external, err = a.cfg.externalURL(); err != nil {
		return err
	}
	p, err := a.plan()
	if err != nil {
		return err
	}
	a.registry = prometheus.NewRegistry()
	a.pipelines = notify.NewPipelineBuilder(a.registry, featurecontrol.NoopFlags{}, eventrecorder.Recorder{})
	a.dispatched = dispatch.NewDispatcherMetrics(false, a.registry, featurecontrol.NoopFlags{})
	a.groups = marker.NewGroupMarker()
	if a.state, err = a.openState(); err != nil {
		return err
	}
	if err := a.newAPI(); err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	if a.peers == nil { // inhibition knows all that is remembered before the first alert is told of
		a.catchUp(running, time.Duration(p.file.Global.ResolveTimeout))
	}
	a.deliver(p)
	if a.peers != nil { // nothing is told of until then
		a.running.Go(func() { a.catchUp(running, a.resolveTimeout()) })
	}
	if console != nil {
		a.serve(console)
	}
	a.metrics.begin(a.plugins.Plugins("alerting"))
	for _, name := range a.plugins.Plugins("alerting") {
		a.running.Go(func() { a.evaluate(running, name) })
	}
	a.running.Go(func() { a.watch(running, parts) })
	a.running.Go(func() { a.follow(running) })
	return nil
}

// find looks for the extensions that alerting works with.
func (a *alerting) find(host component.Host) (console mux, parts []watched) {
	for _, extension := range host.GetExtensions() {
		if p, ok := extension.(plugins); ok {
			a.plugins = p
		}
		if m, ok := extension.(mux); ok {
			console = m
		}
		if w, ok := extension.(watched); ok {
			parts = append(parts, w)
		}
		if g, ok := extension.(interface {
			gossip
			members
		}); ok {
			a.peers = &peers{g, g, a.cfg.PeerTimeout}
		}
	}
	return console, parts
}

// Ready implements extensioncapabilities.PipelineWatcher.
func (*alerting) Ready() error { return nil }

// NotReady implements extensioncapabilities.PipelineWatcher: it lets notifications under way finish for a moment, while the cluster can still tell the others
// of them.
func (a *alerting) NotReady() error {
	a.quit.Do(func() {
		if a.cancel != nil {
			a.cancel()
		}
		a.running.Wait()
		if d := a.at.Load(); d != nil {
			d.stop()
		}
	})
	return nil
}

// Shutdown leaves all that is known on disk.
func (a *alerting) Shutdown(context.Context) error {
	_ = a.NotReady()
	if a.state != nil {
		a.state.close()
	}
	return nil
}

// report logs an error that its cause cannot be told of.
func (a *alerting) report(err error) {
	if err != nil {
		a.log.Error("alerts were left out", zap.Error(err))
	}
}

// readMatchers makes Alertmanager read matchers and label names as it does itself by default; it keeps how in variables of its packages.
var readMatchers = sync.OnceFunc(func() { compat.InitFromFlags(slog.New(slog.DiscardHandler), featurecontrol.NoopFlags{}) })
