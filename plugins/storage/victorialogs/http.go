package main

import (
	"net/http"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlselect"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
)

// api is what reads, by an allow-list. Nothing there writes, deletes or administers.
func api(*victoria.Store) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
			http.Error(w, "only GET and POST", http.StatusMethodNotAllowed)
			return
		}
		if !readable(r.URL.Path) || !vlselect.RequestHandler(w, r) {
			http.NotFound(w, r)
		}
	})
	return mux
}

func readable(path string) bool {
	switch path {
	case "/select/vmui", "/select/buildinfo":
		return true
	case "/select/logsql/query", "/select/logsql/tail", "/select/logsql/hits", "/select/logsql/facets",
		"/select/logsql/stats_query", "/select/logsql/stats_query_range", "/select/logsql/query_time_range",
		"/select/logsql/field_names", "/select/logsql/field_values",
		"/select/logsql/streams", "/select/logsql/stream_ids", "/select/logsql/stream_field_names", "/select/logsql/stream_field_values":
		return true
	}
	return strings.HasPrefix(path, "/select/vmui/")
}
