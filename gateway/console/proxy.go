package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"
)

// proxiedPolicy lets the storages' own pages run their scripts and no other, and ask nobody but this gateway: they show what the mesh tells, and are of the
// same origin as the page by which people change things.
const proxiedPolicy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; " +
	"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

// proxy passes reads on to the storages, and nothing else.
type proxy struct {
	storage   storage // nil: no extension runs plugins
	transport *http.Transport
}

func newProxy() *proxy {
	return &proxy{transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		ResponseHeaderTimeout: 50 * time.Second, // less than the server's write timeout, so that the client hears of it
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       time.Minute,
		DisableCompression:    true, // what the storage compresses is passed on as it is
	}}
}

func (p *proxy) close() {
	p.transport.CloseIdleConnections()
}

// serveAPI serves /prometheus/…: the read part of Prometheus's HTTP API, and the rest of what vmui asks for.
func (p *proxy) serveAPI(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/prometheus/")
	if allowed(w, r, readMethods(path)) {
		p.pass(w, r, p.metrics(), path)
	}
}

// serveVMUI serves /vmui/…: VictoriaMetrics' own page, which finds its API under /prometheus/ beside it.
func (p *proxy) serveVMUI(w http.ResponseWriter, r *http.Request) {
	if allowed(w, r, []string{http.MethodGet, http.MethodHead}) {
		p.pass(w, r, p.metrics(), strings.TrimPrefix(r.URL.Path, "/"))
	}
}

// allowed tells whether the request has one of the methods, of which there are none for what is no read. It answers if not.
func allowed(w http.ResponseWriter, r *http.Request, methods []string) bool {
	if methods == nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("%q is not part of the read API", r.URL.Path))
		return false
	}
	if !slices.Contains(methods, r.Method) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		refuse(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s is not served for %q", r.Method, r.URL.Path))
		return false
	}
	return true
}

// readMethods are the methods by which a path below /prometheus/ only reads; nil when there are none.
func readMethods(path string) []string {
	switch path {
	case "api/v1/query", "api/v1/query_range", "api/v1/query_exemplars", "api/v1/series", "api/v1/labels",
		"api/v1/format_query", "api/v1/parse_query", "api/v1/export", "api/v1/export/csv":
		return []string{http.MethodGet, http.MethodHead, http.MethodPost}
	case "api/v1/metadata", "api/v1/rules", "api/v1/alerts", "api/v1/series/count", "federate",
		"api/v1/status/buildinfo", "api/v1/status/tsdb", "api/v1/status/metric_names_stats",
		"api/v1/status/active_queries", "api/v1/status/top_queries",
		"prettify-query", "expand-with-exprs", "metric-relabel-debug",
		"vmui/config.json", "vmui/custom-dashboards", "vmui/timezone":
		return []string{http.MethodGet, http.MethodHead}
	}
	name, found := strings.CutPrefix(path, "api/v1/label/")
	name, ends := strings.CutSuffix(name, "/values")
	if found && ends && name != "" && !strings.Contains(name, "/") {
		return []string{http.MethodGet, http.MethodHead}
	}
	return nil
}

// upstream is a storage.
type upstream struct {
	name string
	url  func() (string, error) // nil: no extension runs plugins
}

func (p *proxy) metrics() upstream {
	u := upstream{name: "metric storage"}
	if p.storage != nil {
		u.url = func() (string, error) { return p.storage.QueryURL("") }
	}
	return u
}

// pass asks a storage for a path that was allowed, and streams its answer.
func (p *proxy) pass(w http.ResponseWriter, r *http.Request, to upstream, path string) {
	base, err := to.base()
	if err != nil {
		refuse(w, http.StatusBadGateway, "the "+to.name+" is not up: "+err.Error())
		return
	}
	forward := httputil.ReverseProxy{
		Transport:     p.transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // what matters is in the answer
		Rewrite: func(request *httputil.ProxyRequest) {
			request.Out.URL = base.JoinPath(path)
			request.Out.URL.RawQuery = request.In.URL.RawQuery
			request.Out.Host = ""
			for _, name := range []string{"Authorization", "Cookie", "Origin", "Referer"} {
				request.Out.Header.Del(name) // they are meant for us
			}
		},
		ModifyResponse: func(response *http.Response) error {
			for name := range response.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					response.Header.Del(name) // whether other sites may read is ours to say
				}
			}
			response.Header.Set("Content-Security-Policy", proxiedPolicy)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				refuse(w, http.StatusBadGateway, "the "+to.name+" does not answer: "+err.Error())
			}
		},
	}
	forward.ServeHTTP(w, r)
}

func (u upstream) base() (*url.URL, error) {
	if u.url == nil {
		return nil, errors.New("no extension runs plugins")
	}
	address, err := u.url()
	if err != nil {
		return nil, err
	}
	return url.Parse(strings.TrimSuffix(address, "/") + "/")
}
