package console

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
)

// guard refuses what no honest client sends, before any handler sees it: paths that mean something else than they say,
// and, on a loopback address, names of other hosts. A browser sends such a name when a foreign page has had its own name
// resolved to this address in order to read what is served here (DNS rebinding).
func (c *console) guard(loopback bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if loopback && !isLocalName(r.Host) {
			c.refuse(w, http.StatusForbidden, "host", fmt.Sprintf("host %q is refused on a loopback address: ask for localhost, or let the console listen elsewhere", r.Host))
			return
		}
		if !isPlainPath(r.URL.EscapedPath()) {
			refuse(w, http.StatusNotFound, "only plain paths are served: no empty or dot segments, nothing percent-encoded")
			return
		}
		c.mux.ServeHTTP(w, r)
	})
}

func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err == nil {
		return address.IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// isPlainPath tells whether every reader takes the path for the same. Nothing that is served needs an escape.
func isPlainPath(escaped string) bool {
	if strings.ContainsAny(escaped, `%\;`) || strings.Contains(escaped, "//") {
		return false
	}
	clean := path.Clean(escaped)
	return escaped == clean || escaped == clean+"/"
}

// refuse answers in the form of Prometheus's HTTP API.
func refuse(w http.ResponseWriter, code int, reason string) {
	kinds := map[int]string{
		http.StatusUnauthorized:     "unauthorized",
		http.StatusForbidden:        "forbidden",
		http.StatusNotFound:         "not_found",
		http.StatusMethodNotAllowed: "bad_data",
		http.StatusBadGateway:       "unavailable",
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kinds[code], "error": reason})
}
