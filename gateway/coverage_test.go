package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// envoyConfig is an Envoy that answers by itself, and sends its access logs and stats to a gateway.
const envoyConfig = `
node: {id: web-1, cluster: web, locality: {region: idc1}}
stats_flush_interval: 1s
stats_sinks:
- name: envoy.stat_sinks.metrics_service
  typed_config:
    "@type": type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig
    transport_api_version: V3
    emit_tags_as_labels: true
    grpc_service: {envoy_grpc: {cluster_name: lockkeeper}}
static_resources:
  listeners:
  - address: {socket_address: {address: %[4]s, port_value: %[1]s}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          access_log:
          - name: als
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
              common_config: {log_name: web, transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: lockkeeper}}}
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - name: lockkeeper
    connect_timeout: 1s
    load_assignment: {cluster_name: lockkeeper, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %[2]s, port_value: %[3]s}}}}]}]}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
`

// startEnvoy starts an Envoy and returns where it listens.
func startEnvoy(t *testing.T, sink string) string {
	t.Helper()
	envoy, listen := needsEnvoy(t), freeAddress(t)
	host, port, _ := net.SplitHostPort(listen)
	sinkHost, sinkPort, _ := net.SplitHostPort(sink)
	file := writeFile(t, fmt.Sprintf(envoyConfig, port, sinkHost, sinkPort, host))
	p := startCommand(t, exec.Command(envoy, "--use-dynamic-base-id", "--concurrency", "2", "-c", file))
	p.expect(t, "starting main dispatch loop")
	wait(t, "Envoy to listen", func() bool { return listening(listen) })
	return listen
}

// requests sends 500 requests a second, whether they are answered or not, until the returned func is called. That returns how
// many there were.
func requests(t *testing.T, address string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	var answered atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for range 5 {
					all.Go(func() {
						if r, err := client.Get("http://" + address); err == nil {
							_ = r.Body.Close()
							answered.Add(1)
						}
					})
				}
			}
		}
	})
	return func() int {
		cancel()
		all.Wait()
		client.CloseIdleConnections()
		return int(answered.Load())
	}
}

// value is the answer to a query for one number; NaN without one.
func (d *durable) value(t *testing.T, query string) float64 {
	t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	getJSON(t, "http://"+d.console+"/prometheus/api/v1/query?query="+url.QueryEscape(query), &answer)
	if len(answer.Data.Result) != 1 {
		return math.NaN()
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// While the gateway is away for three seconds Envoy's access logs are lost, and nothing but coverage tells how many. What Envoy
// counts in its stats is complete in the end.
func TestCoverageShowsAnOutageOfTheGateway(t *testing.T) {
	f := func(signal syscall.Signal) {
		d := &durable{addresses: freeAddresses(t), data: t.TempDir()}
		d.configs = []string{"--config", d.config(t, needsPlugins(t))}
		listen := startEnvoy(t, d.sink)
		d.run(t)
		stop := requests(t, listen)
		const ratio, lost = `lockkeeper_als_coverage_ratio{node="web-1",idc="idc1"}`, `lockkeeper_telemetry_lost{node="web-1",what=%q}`
		time.Sleep(6 * time.Second)
		wait(t, "coverage to be whole", func() bool { return d.value(t, ratio) >= 0.999 }) // entries may be on their way

		d.gateway.signal(t, signal)
		time.Sleep(3 * time.Second)
		d.gateway.exit(t)
		d.run(t)
		time.Sleep(8 * time.Second)
		sent := float64(stop())
		const total = `envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="web"}`
		wait(t, "the last of Envoy's stats", func() bool { return d.value(t, total) >= sent })
		time.Sleep(4 * time.Second) // samples of an Envoy that writes no more

		if got := d.value(t, total); got != sent {
			t.Errorf("Envoy's stats count %v requests of %v", got, sent)
		}
		counted := d.value(t, `sum(increase(istio_requests_total[10m]))`)
		compared := d.value(t, `max_over_time(lockkeeper_als_written_total[10m]) - min_over_time(lockkeeper_als_written_total[10m])`)
		truth, shown := (sent-counted)/compared, 1-d.value(t, ratio)
		t.Logf("%v: %v requests, %v counted; %.2f%% of %v are lost, coverage shows %.2f%%", signal, sent, counted, 100*truth, compared, 100*shown)
		if truth < 0.05 || math.Abs(shown-truth) > truth/10 {
			t.Errorf("coverage shows that %.4f are lost, want %.4f", shown, truth)
		}
		for what, want := range map[string]float64{"als": 0, "stats": 0, "coverage": 1} {
			if got := d.value(t, fmt.Sprintf(lost, what)); got != want {
				t.Errorf("telemetry_lost of %s is %v, want %v", what, got, want)
			}
		}
		d.gateway.signal(t, syscall.SIGTERM)
		d.gateway.exit(t)
	}
	f(syscall.SIGTERM)
	f(syscall.SIGKILL)
}
