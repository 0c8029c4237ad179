package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fleet is two applications, each on a machine of its own (a and b), and a real Envoy before them that takes everything from our xDS.
type fleet struct {
	requests      [2]atomic.Int64
	endpoints     [2]string
	listen, serve string // of Envoy, and of our xDS
	client        http.Client
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{listen: freeAddress(t), serve: freeAddress(t)}
	f.client.Timeout = 10 * time.Second
	for i := range f.requests {
		app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.requests[i].Add(1) }))
		t.Cleanup(app.Close)
		f.endpoints[i] = strings.TrimPrefix(app.URL, "http://")
	}
	t.Cleanup(f.client.CloseIdleConnections)
	return f
}

// config is of the extension xds.
func (f *fleet) config(t *testing.T) map[string]any {
	t.Helper()
	host, port, _ := strings.Cut(f.listen, ":")
	write := func(text string, args ...any) string { return writeFile(t, fmt.Sprintf(text, args...)) }
	return map[string]any{
		"endpoint": f.serve,
		"sources": []any{map[string]any{"file": write("clusters: [{name: app, endpoints: [{address: %q, machine: a, idc: idc1}, {address: %q, machine: b, idc: idc1}]}]",
			f.endpoints[0], f.endpoints[1])}},
		"listeners": write(`resources: [{name: all, address: {socket_address: {address: %s, port_value: %s}}, filter_chains: [{filters: [{name: http, typed_config: {
  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: all,
  rds: {route_config_name: all, config_source: {resource_api_version: V3, ads: {}}},
  http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]}]`, host, port),
		"routes": write(`resources: [{name: all, virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: app}}]}]}]`),
	}
}

// envoy starts the proxy with what `snippet envoy --xds` prints.
func (f *fleet) envoy(t *testing.T, binary string) {
	t.Helper()
	_, bootstrap, problems := call(t, "snippet", "envoy", "--xds", f.serve)
	require.Empty(t, problems)
	startCommand(t, exec.Command(binary, "--disable-hot-restart", "--concurrency", "1", "-c", writeFile(t, bootstrap))).expect(t, "starting main dispatch loop")
}

// share is that of the machine a, in n requests; -1: they do not all succeed.
func (f *fleet) share(n int) float64 {
	was := f.requests[0].Load()
	for range n {
		r, err := f.client.Get("http://" + f.listen)
		if err != nil {
			return -1
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return -1
		}
	}
	return float64(f.requests[0].Load()-was) / float64(n)
}

// until waits for a share.
func (f *fleet) until(t *testing.T, what string, want float64) {
	t.Helper()
	require.Eventually(t, func() bool { return f.share(20) == want }, patience, time.Millisecond, what)
}
