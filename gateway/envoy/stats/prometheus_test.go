package stats

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// exposition is a set of samples as Prometheus's text format has them: name, sorted labels and value.
type exposition map[string]float64

func (e exposition) add(name string, labels map[string]string, value float64) {
	var b strings.Builder
	b.WriteString(name)
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(" " + l + "=" + labels[l])
	}
	e[b.String()] = value
}

// parse reads Prometheus's text format as Envoy writes it.
func parse(t *testing.T, text string) exposition {
	t.Helper()
	e := exposition{}
	label := regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, "{")
		text, number, _ := strings.Cut(rest, "} ")
		labels := map[string]string{}
		for _, m := range label.FindAllStringSubmatch(text, -1) {
			labels[m[1]] = m[2]
		}
		value, err := strconv.ParseFloat(number, 64)
		require.NoError(t, err, line)
		e.add(name, labels, value)
	}
	return e
}

// exposed is what a flush of k hands on, without the labels that it adds.
func exposed(t *testing.T, k *Sink) exposition {
	t.Helper()
	e := exposition{}
	require.NoError(t, k.Flush(time.Now(), "gw1", func(m pmetric.Metrics) error {
		for _, family := range m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			e.addFamily(family)
		}
		return nil
	}))
	return e
}

func (e exposition) addFamily(family pmetric.Metric) {
	name := family.Name()
	switch family.Type() {
	case pmetric.MetricTypeSum:
		for _, p := range family.Sum().DataPoints().All() {
			e.add(name, plainLabels(p.Attributes()), p.DoubleValue())
		}
	case pmetric.MetricTypeGauge:
		for _, p := range family.Gauge().DataPoints().All() {
			e.add(name, plainLabels(p.Attributes()), p.DoubleValue())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range family.Histogram().DataPoints().All() {
			labels := plainLabels(p.Attributes())
			e.add(name+"_sum", labels, p.Sum())
			e.add(name+"_count", labels, float64(p.Count()))
			n := uint64(0)
			for i, in := range p.BucketCounts().All() {
				n += in
				labels["le"] = "+Inf"
				if i < p.ExplicitBounds().Len() {
					labels["le"] = strconv.FormatFloat(p.ExplicitBounds().At(i), 'f', -1, 64)
				}
				e.add(name+"_bucket", labels, float64(n))
			}
		}
	default:
		e.add(name+" as "+family.Type().String(), nil, 0)
	}
}

func plainLabels(of pcommon.Map) map[string]string {
	labels := map[string]string{}
	for name, value := range of.All() {
		if !slices.Contains([]string{"node", "app", "version", "idc", "gateway"}, name) {
			labels[name] = value.Str()
		}
	}
	return labels
}

// The truth about names, labels and values is Envoy's own Prometheus endpoint.
func TestAsEnvoysPrometheusEndpoint(t *testing.T) {
	e := startEnvoy(t, true)
	for range 3 {
		for _, path := range []string{"/ok", "/orders/1", "/down", "/tls", "/limited", "/secret", "/nowhere"} {
			e.request(path)
		}
	}
	e.request("/ok", "x-envoy-fault-abort-request", "503", "x-envoy-downstream-service-cluster", "caller")
	e.request("/orders/pkg.Service/Method", "content-type", "application/grpc")
	e.talk("tcp", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /ok HTTP/1.0\r\n\r\n")
	for _, l := range []string{"redis", "thrift", "mongo"} {
		e.talk(l, "*1\r\n$4\r\nPING\r\n")
	}
	e.services["plain"].more(t, 2) // Envoy merges its histograms when it flushes
	before := parse(t, e.get("/stats?format=prometheus&usedonly"))
	require.Greater(t, len(before), 800)
	for name, s := range e.services {
		s.more(t, map[string]int{"batch": 14}[name]+2) // a whole round, of up to seven messages
	}
	got := map[string]exposition{}
	for name, s := range e.services {
		s.mu.Lock()
		got[name] = exposed(t, fed(t, slices.Clone(s.messages)))
		s.mu.Unlock()
	}
	after := parse(t, e.get("/stats?format=prometheus&usedonly"))
	for name, got := range got {
		t.Run(name, func(t *testing.T) {
			for key, value := range before {
				if ours, ok := got[key]; !ok {
					t.Errorf("%s is missing", key)
				} else if ours != value && !moves(key) {
					t.Errorf("%s is %v, not %v", key, ours, value)
				}
			}
			for key := range got {
				if _, ok := after[key]; !ok {
					t.Errorf("Envoy has no %s", key)
				}
			}
		})
	}
	checkTags(t, got["plain"])
}

// checkTags sees to it that the comparison was worth something.
func checkTags(t *testing.T, e exposition) {
	t.Helper()
	label := regexp.MustCompile(` (\w+)=`)
	seen := map[string]bool{}
	for key := range e {
		for _, m := range label.FindAllStringSubmatch(key, -1) {
			seen[m[1]] = true
		}
	}
	for _, name := range strings.Fields(`cipher_suite envoy_cluster_name envoy_connection_limit_prefix envoy_ext_authz_prefix
		envoy_fault_downstream_cluster envoy_http_conn_manager_prefix envoy_listener_address envoy_local_http_ratelimit_prefix
		envoy_proxy_protocol_prefix envoy_proxy_protocol_version envoy_rbac_http_prefix envoy_rbac_policy_name envoy_rbac_prefix
		envoy_rds_route_config envoy_redis_prefix envoy_response_code envoy_response_code_class envoy_route envoy_ssl_cipher
		envoy_ssl_curve envoy_ssl_sigalg envoy_ssl_version envoy_tcp_prefix envoy_thrift_prefix envoy_tls_certificate
		envoy_virtual_cluster envoy_virtual_host envoy_worker_id le`) {
		if !seen[name] {
			t.Errorf("no series has %s", name)
		}
	}
}

// moves tells whether a sample changes although nobody sends requests: what the sinks and the admin interface do.
func moves(key string) bool {
	for _, part := range []string{
		"=sink_", "=admin", "envoy_server_", "envoy_main_thread", "envoy_workers_", "envoy_filesystem_", "envoy_http1_", "envoy_http2_", "envoy_runtime_",
		"envoy_dns_", "=als", "envoy_listener_manager_", "envoy_cluster_manager_", "envoy_access_logs_",
	} {
		if strings.Contains(key, part) {
			return true
		}
	}
	return false
}
