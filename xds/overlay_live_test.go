package xds

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A fleet that runs on the extension alone: listeners, routes, clusters and endpoints of a real Envoy come from it.
func TestEnvoyOnItsOwn(t *testing.T) {
	for _, apiType := range []string{"GRPC", "DELTA_GRPC"} {
		t.Run(apiType, func(t *testing.T) {
			apps := newApps(t, "pair", 2, "gray", 3, "five", 10, "edge1", 1, "edge2", 1)
			files := map[string]string{"endpoints.yaml": apps.endpoints()}
			for _, name := range []string{"listeners.yaml", "routes.yaml"} {
				text, err := os.ReadFile(filepath.Join("testdata/live", name))
				require.NoError(t, err)
				files[name] = string(text)
			}
			f := startFleet(t, files)
			e := startFleetEnvoy(t, apiType, f.listener.Addr().String())
			f.decider.decide(Serving{IDCs: shares(5_000, 5_000)})
			e.open(t)

			t.Run("mesh weights 1:99", func(t *testing.T) { e.oneOf99(t, f, apps.names["pair"], "/pair") })
			t.Run("entry weights 1:99", func(t *testing.T) { e.oneOf99(t, f, append(apps.names["edge1"], apps.names["edge2"]...), "/edge") })
			t.Run("four of five are dead", func(t *testing.T) { e.drowned(t, f, apps.names["five"], false) })
			t.Run("four of five are gray", func(t *testing.T) { e.drowned(t, f, apps.names["five"], true) })
			t.Run("two are gray and the third fails", func(t *testing.T) { e.drained(t, f, apps) })
		})
	}
}

const liveRequests = 1500

// oneOf99 gives the first of two 1 % of the traffic, and then all.
func (e *fleetEnvoy) oneOf99(t *testing.T, f *fleet, two []*app, path string) {
	f.decider.decide(Serving{IDCs: shares(100, 9_900)})
	within(t, "a request to the second", func() bool { return e.share(t, 300, two[1], path) > 0.9 })
	share := e.share(t, liveRequests, two[0], path)
	t.Logf("1:99 is %.2f %%", share*100)
	require.Positive(t, share)
	require.Less(t, share, 0.03)
	f.decider.decide(Serving{IDCs: shares(10_000, 0)})
	within(t, "none to the second", func() bool { return e.share(t, 100, two[1], path) == 0 })
	f.decider.decide(Serving{IDCs: shares(5_000, 5_000)})
	within(t, "both again", func() bool { s := e.share(t, 300, two[1], path); return s > 0.4 && s < 0.6 })
}

// drowned loses four of the five of idc1: the last one does not get all of its IDC's traffic.
func (e *fleetEnvoy) drowned(t *testing.T, f *fleet, ten []*app, drain bool) {
	f.decider.decide(Serving{IDCs: shares(5_000, 5_000), Out: outs(drain, []string{ten[0].subject, ten[2].subject, ten[4].subject, ten[6].subject})})
	within(t, "none to one that is out", func() bool { return e.share(t, 100, ten[0], "/five") == 0 })
	survivor := e.share(t, liveRequests, ten[8], "/five")
	t.Logf("the survivor of five gets %.1f %%", survivor*100)
	require.Positive(t, survivor)
	require.LessOrEqual(t, survivor, 0.30)
	f.decider.decide(Serving{IDCs: shares(5_000, 5_000)})
	within(t, "those to be back", func() bool { return e.share(t, 300, ten[0], "/five") > 0 })
}

// drained has two of three gray while the third fails Envoy's own health checks: Envoy must not fall back on the gray ones.
func (e *fleetEnvoy) drained(t *testing.T, f *fleet, all *apps) {
	three := all.names["gray"]
	f.decider.decide(Serving{Out: gray(three[0].subject, three[1].subject)})
	within(t, "none to a gray one", func() bool { return e.share(t, 50, three[2], "/gray") == 1 })
	three[2].sick.Store(true)
	within(t, "the third to fail", func() bool { return e.status(t, "/gray") == http.StatusServiceUnavailable })
	was := three[0].requests.Load() + three[1].requests.Load()
	for range 200 {
		require.Equal(t, http.StatusServiceUnavailable, e.status(t, "/gray"))
	}
	require.Equal(t, was, three[0].requests.Load()+three[1].requests.Load(), "requests went to drained endpoints")
	f.decider.decide(Serving{})
	within(t, "the gray ones to be back", func() bool { return e.status(t, "/gray") == http.StatusOK })
}

// apps are applications: of each cluster the first one is in idc1, the next in idc2, and so on.
type apps struct {
	names map[string][]*app
	order []string
}

type app struct {
	subject  string
	requests atomic.Int64
	sick     atomic.Bool // fails health checks
}

func newApps(t *testing.T, clusters ...any) *apps {
	a := &apps{names: map[string][]*app{}}
	for i := 0; i < len(clusters); i += 2 {
		name := clusters[i].(string)
		a.order = append(a.order, name)
		for range clusters[i+1].(int) {
			one := &app{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/health" {
					one.requests.Add(1)
				} else if one.sick.Load() {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}))
			t.Cleanup(server.Close)
			one.subject = endpointPrefix + server.Listener.Addr().String()
			a.names[name] = append(a.names[name], one)
		}
	}
	return a
}

func (a *apps) endpoints() string {
	var text strings.Builder
	text.WriteString("clusters:\n")
	for _, name := range a.order {
		fmt.Fprintf(&text, "- name: %s\n  connect_timeout: 30s\n", name)
		if name == "gray" {
			text.WriteString("  envoy: {health_checks: [{timeout: 30s, interval: 0.05s, no_traffic_interval: 0.05s, unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /health}}]}\n")
		}
		text.WriteString("  endpoints:\n")
		for i, one := range a.names[name] {
			idc := i%2 + 1
			if name == "edge2" {
				idc = 2
			}
			fmt.Fprintf(&text, "  - {address: %q, idc: idc%d}\n", strings.TrimPrefix(one.subject, endpointPrefix), idc)
		}
	}
	return text.String()
}

// fleetEnvoy is a real Envoy that has nothing but the extension's address.
type fleetEnvoy struct {
	admin, at string
	client    *http.Client
}

func startFleetEnvoy(t *testing.T, apiType, address string) *fleetEnvoy {
	t.Helper()
	e := &fleetEnvoy{admin: startEnvoy(t, apiType, aggregated, address), client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}}
	t.Cleanup(e.client.CloseIdleConnections)
	return e
}

// open waits until Envoy takes requests.
func (e *fleetEnvoy) open(t *testing.T) {
	t.Helper()
	within(t, "Envoy's listener", func() bool {
		var all struct {
			Listeners []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"local_address"`
			} `json:"listener_statuses"`
		}
		require.NoError(t, json.Unmarshal([]byte(get(t, e.admin+"/listeners?format=json")), &all))
		if len(all.Listeners) == 0 {
			return false
		}
		e.at = fmt.Sprintf("http://%s:%d", all.Listeners[0].Address.Socket.Address, all.Listeners[0].Address.Socket.Port)
		return true
	})
	within(t, "an answer", func() bool { return e.status(t, "/pair") == http.StatusOK && e.status(t, "/gray") == http.StatusOK })
}

// status is 0 when there is no answer.
func (e *fleetEnvoy) status(t *testing.T, path string) int {
	t.Helper()
	r, err := e.client.Get(e.at + path)
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

// share is how much of n requests one gets.
func (e *fleetEnvoy) share(t *testing.T, n int, one *app, path string) float64 {
	t.Helper()
	was := one.requests.Load()
	for range n {
		require.Equal(t, http.StatusOK, e.status(t, path))
	}
	return float64(one.requests.Load()-was) / float64(n)
}
