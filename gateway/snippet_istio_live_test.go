package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// What becomes Envoy's of the snippet: the stats matcher keeps the stats that Lockkeeper reads, and the router logs tries.
func TestEnvoyAcceptsTheIstioSnippet(t *testing.T) {
	envoy := needsEnvoy(t)
	mesh, filter := istioParts(t, readFile(t, "../deploy/istio/external.yaml"))
	matcher := mesh.MeshConfig.DefaultConfig.ProxyStatsMatcher
	patterns := []any{object{"prefix": "cluster_manager"}}
	for _, prefix := range matcher.InclusionPrefixes {
		patterns = append(patterns, object{"prefix": prefix})
	}
	for _, regex := range matcher.InclusionRegexps {
		patterns = append(patterns, object{"safe_regex": object{"regex": regex}})
	}
	admin, listen := freeAddress(t), freeAddress(t)
	cluster := func(name string) object { // as Istio names them and their stats
		return object{"name": name, "alt_stat_name": name + ";", "type": "STATIC", "load_assignment": object{"cluster_name": name}, "typed_extension_protocol_options": object{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
				"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config": object{"http2_protocol_options": object{}},
			},
		}}
	}
	router := filter.Spec.ConfigPatches[0].Patch.Value.TypedConfig
	config, err := json.Marshal(object{
		"admin":        object{"address": socketAddress(t, admin)},
		"stats_config": object{"stats_matcher": object{"inclusion_list": object{"patterns": patterns}}},
		"static_resources": object{
			"clusters": []any{cluster("outbound|9001||lockkeeper.mesh.internal"), cluster("outbound|80||app.default.svc.cluster.local")},
			"listeners": []any{object{"name": "l", "address": socketAddress(t, listen), "filter_chains": []any{object{"filters": []any{object{
				"name": "http", "typed_config": object{
					"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
					"stat_prefix": "outbound_0.0.0.0_80;",
					"access_log":  router.(object)["upstream_log"],
					"route_config": object{"virtual_hosts": []any{object{"name": "all", "domains": []any{"*"}, "routes": []any{
						object{"match": object{"prefix": "/"}, "route": object{"cluster": "outbound|80||app.default.svc.cluster.local"}},
					}}}},
					"http_filters": []any{object{"name": "router", "typed_config": router}},
				},
			}}}}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy := startCommand(t, exec.Command(envoy, "--disable-hot-restart", "--concurrency", "1", "-c", writeFile(t, string(config))))
	proxy.expect(t, "starting main dispatch loop")
	get := func(url string) (int, string) {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	if code, _ := get("http://" + listen); code != http.StatusServiceUnavailable {
		t.Fatal(code)
	}
	var stats string
	wait(t, "the entry to be written", func() bool {
		_, stats = get("http://" + admin + "/stats")
		return strings.Contains(stats, "access_logs.grpc_access_log.logs_written: 1")
	})
	for _, want := range []string{
		"access_logs.grpc_access_log.grpc_entries_flushed: ",
		"cluster.outbound|80||app.default.svc.cluster.local;.upstream_cx_none_healthy: 1",
		"cluster.outbound|80||app.default.svc.cluster.local;.membership_healthy: 0",
		"cluster.outbound|80||app.default.svc.cluster.local;.circuit_breakers.default.rq_pending_open: 0",
		"cluster.outbound|9001||lockkeeper.mesh.internal;.upstream_cx_connect_fail: ",
		"http.outbound_0.0.0.0_80;.downstream_rq_total: 1",
		"http.outbound_0.0.0.0_80;.no_route: 0",
		"downstream_cx_total: 1",
	} {
		if !strings.Contains(stats, want) {
			t.Errorf("%q is not among the stats\n%s", want, stats)
		}
	}
	if n := strings.Count(stats, "cluster.outbound|80||"); n > 40 {
		t.Errorf("%d stats of a cluster:\n%s", n, stats)
	}
	proxy.signal(t, syscall.SIGTERM)
	proxy.exit(t)
}

func socketAddress(t *testing.T, address string) object {
	t.Helper()
	var port int
	host, text, err := net.SplitHostPort(address)
	if err = errors.Join(err, json.Unmarshal([]byte(text), &port)); err != nil {
		t.Fatal(err)
	}
	return object{"socket_address": object{"address": host, "port_value": port}}
}
