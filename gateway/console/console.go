// Package console is the gateway's HTTP port for people and for what they query with: a page, the other components' state
// as JSON, and the read APIs of the storages. What changes something is for bearers of tokens only.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// shutdownGrace is how long answers under way may still take at the end.
const shutdownGrace = 5 * time.Second

// storage is what the console needs of the extension that runs the plugins.
type storage interface {
	// QueryURL is the base URL of a plugin's read API; the empty name means the metric storage.
	QueryURL(plugin string) (string, error)

	// LogsQueryURL is the base URL of the log storage's read API.
	LogsQueryURL() (string, error)
}

// console is the extension `console`.
type console struct {
	cfg   *Config
	set   component.TelemetrySettings
	mux   *http.ServeMux
	ready atomic.Bool
	proxy *proxy

	overview, whole *overview

	bearers bearers
	refused metric.Int64Counter

	server *http.Server
	served chan struct{}
}

func newConsole(cfg *Config, set component.TelemetrySettings) (*console, error) {
	refused, err := newRefused(set.MeterProvider)
	if err != nil {
		return nil, err
	}
	c := &console{cfg: cfg, set: set, mux: http.NewServeMux(), bearers: newBearers(cfg.Tokens), refused: refused, proxy: newProxy()}
	report := func(section string, panicked any) {
		set.Logger.Error("a section of the overview failed", zap.String("section", section), zap.Any("panic", panicked), zap.Stack("stack"))
	}
	c.overview, c.whole = newOverview(c.mux, false, report), newOverview(c.mux, true, report)
	c.mux.HandleFunc("GET /api/v1/overview", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("whole") == "true" {
			c.whole.ServeHTTP(w, r)
			return
		}
		c.overview.ServeHTTP(w, r)
	})
	c.mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "healthy") })
	c.mux.HandleFunc("GET /-/ready", c.serveReady)
	c.mux.HandleFunc("GET /api/v1/whoami", c.serveWho)
	c.mux.HandleFunc("/prometheus/", c.proxy.serveAPI)
	c.mux.HandleFunc("/vmui/", c.proxy.serveVMUI)
	c.mux.HandleFunc("/logs/", c.proxy.serveLogs)
	c.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, fmt.Sprintf("there is no %q here", r.URL.Path))
	})
	handlePage(c.mux)
	return c, nil
}

// Handle adds a handler, with a pattern as http.ServeMux has it. It may be called before Start and after.
// A pattern that is there already is a bug and panics.
func (c *console) Handle(pattern string, handler http.Handler) {
	c.mux.Handle(pattern, handler)
}

// Start listens and serves.
func (c *console) Start(ctx context.Context, host component.Host) error {
	for _, extension := range host.GetExtensions() {
		if s, ok := extension.(storage); ok {
			c.proxy.storage = s
		}
	}
	endpoint := c.cfg.Server.NetAddr.Endpoint
	listener, err := c.cfg.Server.ToListener(ctx)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: end what listens there, or set another endpoint", err)
	}
	if err != nil {
		return fmt.Errorf("console::endpoint %q: %w", endpoint, err)
	}
	c.server, err = c.cfg.Server.ToServer(ctx, host.GetExtensions(), c.set, c.guard(isLoopback(listener.Addr())))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	c.served = make(chan struct{})
	go func() {
		defer close(c.served)
		if err := c.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	}()
	return nil
}

// Shutdown lets answers under way finish for a moment.
func (c *console) Shutdown(ctx context.Context) error {
	defer c.proxy.close()
	if c.served == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	err := c.server.Shutdown(ctx)
	if err != nil {
		err = c.server.Close()
	}
	<-c.served
	return err
}

// Ready implements extensioncapabilities.PipelineWatcher.
func (c *console) Ready() error {
	c.ready.Store(true)
	return nil
}

// NotReady implements extensioncapabilities.PipelineWatcher.
func (c *console) NotReady() error {
	c.ready.Store(false)
	return nil
}

func (c *console) serveReady(w http.ResponseWriter, _ *http.Request) {
	if c.ready.Load() {
		say(w, http.StatusOK, "ready")
		return
	}
	say(w, http.StatusServiceUnavailable, "not ready: the pipelines are not running (the gateway is starting or stopping)")
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n")
}

// isLoopback tells whether only this machine can reach the address.
func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
