package main

import (
	"io"
	"net/http"
	"strings"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmselect"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// maxRemoteWrite is what VictoriaMetrics takes in one remote write request.
const maxRemoteWrite = 32 << 20

// api is what reads, by an allow-list, and remote write. Nothing there deletes or administers.
func api(s *victoria.Store) *http.ServeMux {
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, r *http.Request) { remoteWrite(s, w, r) }
	mux.HandleFunc("POST /api/v1/write", write)
	mux.HandleFunc("POST /prometheus/api/v1/write", write)
	mux.HandleFunc("/", read)
	return mux
}

// read serves vmui and the reading part of VictoriaMetrics's HTTP API, with or without /prometheus in front.
func read(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		http.Error(w, "only GET and POST", http.StatusMethodNotAllowed)
		return
	}
	if !readable(strings.TrimPrefix(r.URL.Path, "/prometheus")) || !vmselect.RequestHandler(w, r) {
		http.NotFound(w, r)
	}
}

func readable(path string) bool {
	switch path {
	case "/vmui", "/graph",
		"/api/v1/query", "/api/v1/query_range", "/api/v1/query_exemplars",
		"/api/v1/series", "/api/v1/series/count", "/api/v1/labels", "/api/v1/metadata",
		"/api/v1/export", "/api/v1/export/csv", "/api/v1/export/native", "/federate",
		"/api/v1/rules", "/api/v1/alerts", "/api/v1/notifiers",
		"/api/v1/status/tsdb", "/api/v1/status/buildinfo", "/api/v1/status/active_queries",
		"/api/v1/status/top_queries", "/api/v1/status/metric_names_stats",
		"/prettify-query", "/expand-with-exprs", "/metric-relabel-debug":
		return true
	}
	name, isLabel := strings.CutPrefix(path, "/api/v1/label/")
	return isLabel && strings.HasSuffix(name, "/values") ||
		strings.HasPrefix(path, "/vmui/") || strings.HasPrefix(path, "/graph/")
}

// remoteWrite takes a Prometheus remote write request and keeps it as safe as one that comes by OTLP.
func remoteWrite(s *victoria.Store, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRemoteWrite))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch err := s.Write(victoria.RemoteWrite, body); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case sdk.IsPermanent(err):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}
