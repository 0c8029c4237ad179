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

// proxy passes reads on to the metric storage, and nothing else.
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
	methods := readMethods(path)
	if methods == nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("%q is not part of the read API", r.URL.Path))
		return
	}
	if !slices.Contains(methods, r.Method) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		refuse(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s is not served for %q", r.Method, r.URL.Path))
		return
	}
	p.pass(w, r, path)
}

// serveVMUI serves /vmui/…: VictoriaMetrics' own page, which finds its API under /prometheus/ beside it.
func (p *proxy) serveVMUI(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s is not served for %q", r.Method, r.URL.Path))
		return
	}
	p.pass(w, r, strings.TrimPrefix(r.URL.Path, "/"))
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

// pass asks the storage for a path that was allowed, and streams its answer.
func (p *proxy) pass(w http.ResponseWriter, r *http.Request, path string) {
	base, err := p.base()
	if err != nil {
		refuse(w, http.StatusBadGateway, "the metric storage is not up: "+err.Error())
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
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				refuse(w, http.StatusBadGateway, "the metric storage does not answer: "+err.Error())
			}
		},
	}
	forward.ServeHTTP(w, r)
}

func (p *proxy) base() (*url.URL, error) {
	if p.storage == nil {
		return nil, errors.New("no extension runs plugins")
	}
	address, err := p.storage.QueryURL("")
	if err != nil {
		return nil, err
	}
	return url.Parse(strings.TrimSuffix(address, "/") + "/")
}
