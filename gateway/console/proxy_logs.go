package console

import (
	"net/http"
	"strings"
	"time"
)

// liveWrite is how long a client of a live tail may take for one write.
const liveWrite = 10 * time.Second

// serveLogs serves /logs/…: the read part of VictoriaLogs's HTTP API, and its own page, which finds the API beside it.
func (p *proxy) serveLogs(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/logs/")
	if path == "" {
		http.Redirect(w, r, "/logs/select/vmui/", http.StatusFound)
		return
	}
	if !allowed(w, r, logMethods(path)) {
		return
	}
	to := upstream{name: "log storage"}
	if p.storage != nil {
		to.url = p.storage.LogsQueryURL
	}
	if path == "select/logsql/tail" { // it lasts until the client leaves
		w = &live{w, http.NewResponseController(w)}
	}
	p.pass(w, r, to, path)
}

// logMethods are the methods by which a path below /logs/ only reads; nil when there are none.
func logMethods(path string) []string {
	switch path {
	case "select/logsql/query", "select/logsql/tail", "select/logsql/hits", "select/logsql/facets",
		"select/logsql/stats_query", "select/logsql/stats_query_range", "select/logsql/query_time_range",
		"select/logsql/field_names", "select/logsql/field_values",
		"select/logsql/streams", "select/logsql/stream_ids", "select/logsql/stream_field_names", "select/logsql/stream_field_values":
		return []string{http.MethodGet, http.MethodHead, http.MethodPost}
	case "select/buildinfo":
		return []string{http.MethodGet, http.MethodHead}
	}
	if strings.HasPrefix(path, "select/vmui/") {
		return []string{http.MethodGet, http.MethodHead}
	}
	return nil
}

// live gives each write its own time instead of one time for the whole answer.
type live struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (l *live) Write(p []byte) (int, error) {
	_ = l.control.SetWriteDeadline(time.Now().Add(liveWrite)) // a server that cannot has its own
	return l.ResponseWriter.Write(p)
}

// Flush implements http.Flusher. Nothing may be written for long after it.
func (l *live) Flush() {
	_ = l.control.Flush()
	_ = l.control.SetWriteDeadline(time.Time{})
}
