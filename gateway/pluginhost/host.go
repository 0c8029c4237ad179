// Package pluginhost runs plugin processes: it finds their binaries, starts, configures, watches, restarts and stops them,
// and hands out connections that survive all that. In: the configuration of each plugin. Out: gRPC connections, query
// addresses, states. It never looks into what crosses a connection, and a plugin never calls back.
package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// host is the extension `plugins`.
type host struct {
	cfg     *Config
	log     *zap.Logger
	metrics *metrics
	readers *readers
	outages outages

	processes map[string]*process // complete before Start returns, then only read
	sockets   sockets
	forker    *forker
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

func newHost(cfg *Config, set component.TelemetrySettings) (*host, error) {
	m, err := newMetrics(set.MeterProvider)
	if err != nil {
		return nil, err
	}
	r, err := newReaders(set.MeterProvider)
	if err != nil {
		return nil, err
	}
	return &host{cfg: cfg, log: set.Logger, metrics: m, readers: r}, nil
}

// Start starts all plugins at once and returns when each runs, or has been waited for long enough. When one can't be
// started, none is left running.
func (h *host) Start(ctx context.Context, collector component.Host) error {
	if err := h.prepare(); err != nil {
		return fmt.Errorf("plugins: %w", err)
	}
	h.serve(collector.GetExtensions())
	running, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	for _, p := range h.processes {
		h.running.Go(func() { p.run(running) })
	}
	var errs []error
	for _, name := range h.names() {
		p := h.processes[name]
		select {
		case <-p.first.done:
		case <-ctx.Done():
			p.first.give(ctx.Err())
		}
		if err := p.first.err; err != nil {
			errs = append(errs, fmt.Errorf("plugins: %s: %w", name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, h.Shutdown(ctx))
	}
	return nil
}

// prepare makes all that does not need a process.
func (h *host) prepare() error {
	directory, err := pluginDirectory(h.cfg.Directory)
	if err != nil {
		return err
	}
	if h.forker, err = newForker(); err != nil {
		return err
	}
	h.processes = make(map[string]*process, len(h.cfg.Processes))
	for name, cfg := range h.cfg.Processes {
		// Listeners stay open until all ports are picked, so that no two plugins get the same.
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("%s: pick a port: %w", name, err)
		}
		defer listener.Close()
		if h.processes[name], err = h.process(name, cfg, directory, listener.Addr().String()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// process makes what keeps one plugin running.
func (h *host) process(name string, cfg Process, directory, listen string) (*process, error) {
	config, err := cfg.Config.wire()
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if cfg.MemoryLimit > 0 && runtime.GOOS != "linux" {
		return nil, fmt.Errorf("memory_limit: nobody can tell on %s what a process holds: leave it away", runtime.GOOS)
	}
	h.metrics.restarted(name, 0)
	h.metrics.linesDropped(name, 0)
	hidden, log := newSecrets(cfg.Config), h.log.With(zap.String("plugin", name))
	p := &process{
		name: name, kind: cfg.Kind, address: cfg.Address, log: log, metrics: h.metrics,
		journal: newJournal(name, log, h.metrics, hidden), first: verdict{done: make(chan struct{})},
	}
	if cfg.Address != "" {
		p.starter = newRemote(name, cfg, config, hidden, h.cfg.StartTimeout)
		return p, nil
	}
	p.binary, p.sha256, p.listen = filepath.Join(directory, cfg.binary(name)), strings.ToLower(cfg.SHA256), listen
	p.memory = &memory{plugin: name, limit: cfg.MemoryLimit, metrics: h.metrics}
	p.starter = &launch{
		name: name, kind: cfg.Kind, path: p.binary, sha256: p.sha256, config: config, secrets: hidden,
		timeout: h.cfg.StartTimeout, memory: p.memory, sockets: &h.sockets, forker: h.forker,
	}
	return p, nil
}

// Ready implements extensioncapabilities.PipelineWatcher.
func (h *host) Ready() error { return nil }

// NotReady implements extensioncapabilities.PipelineWatcher. It comes before the console stops, which waits for its readers.
func (h *host) NotReady() error {
	h.readers.close()
	return nil
}

// Shutdown stops all plugins at once and returns when none is left.
func (h *host) Shutdown(context.Context) error {
	h.readers.close()
	if h.cancel != nil {
		h.cancel()
	}
	h.running.Wait()
	if h.forker != nil {
		h.forker.close()
		h.forker = nil
	}
	h.sockets.close()
	return nil
}

// Conn is the connection to a plugin. It survives restarts: while the process is down, calls fail with codes.Unavailable.
// The error says which plugins are configured.
func (h *host) Conn(plugin string) (grpc.ClientConnInterface, error) {
	p, ok := h.processes[plugin]
	if !ok {
		return nil, h.unknown(plugin)
	}
	return conn{process: p}, nil
}

// QueryURL is the base URL of the read API of a running plugin, without a trailing slash. An empty name means
// the first storage plugin by name that stores metrics and has such an API.
func (h *host) QueryURL(plugin string) (string, error) {
	if plugin == "" {
		return h.firstQueryURL("metrics")
	}
	p, ok := h.processes[plugin]
	if !ok {
		return "", h.unknown(plugin)
	}
	return p.runningQueryURL()
}

// LogsQueryURL is that of the first storage plugin by name that stores logs and has such an API.
func (h *host) LogsQueryURL() (string, error) { return h.firstQueryURL("logs") }

func (h *host) firstQueryURL(signal string) (string, error) {
	none := fmt.Errorf("no storage plugin for %s has a query API", signal)
	for _, name := range h.names() {
		p := h.processes[name]
		if p.kind != "storage" {
			continue
		}
		if r := p.report(); r.QueryURL != "" {
			if r.stores(signal) {
				return p.runningQueryURL()
			}
			continue
		}
		if _, err := p.current(); err != nil { // it may have one: it has never run yet
			none = err
		}
	}
	return "", none
}

func (h *host) unknown(plugin string) error {
	if len(h.processes) == 0 {
		return fmt.Errorf("no plugin %q in extension plugins: it has none", plugin)
	}
	return fmt.Errorf("no plugin %q in extension plugins: it has %s", plugin, strings.Join(h.names(), ", "))
}

func (h *host) names() []string {
	return slices.Sorted(maps.Keys(h.processes))
}
