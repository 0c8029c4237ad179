package victoria

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/appmetrics"
)

// web is a plugin's HTTP server.
type web struct{ server *http.Server }

// serve serves what mux has, and /health and /metrics beside it.
func serve(listener net.Listener, mux *http.ServeMux) *web {
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { appmetrics.WritePrometheusMetrics(w) })
	w := &web{&http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}}
	go func() {
		if err := w.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			Warn("query API: %v", err)
		}
	}()
	return w
}

// stop lets requests under way end for a moment, then cuts them off.
func (w *web) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		_ = w.server.Close()
	}
}
