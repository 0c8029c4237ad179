package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
	"github.com/lockkeeper/lockkeeper/xds"
)

// grayFleet is a gateway that goes by what Envoys tell it of their tries, and those Envoys: they have a certificate each, and their endpoints from
// the gateway's xDS.
type grayFleet struct {
	sink, xds, console, self string
	directory                string // of certificates
	authority                *x509.Certificate
	key                      *ecdsa.PrivateKey
	apps                     []*grayApp
	callers                  map[string]string // listen address by name
	clients                  map[string]*http.Client
}

// grayClean is how long one that was gray must not be until it returns.
const grayClean = 3 * time.Second

// startGrayFleet starts a gateway with these clusters, and no caller yet.
func startGrayFleet(t *testing.T, clusters ...grayCluster) *grayFleet {
	t.Helper()
	f := &grayFleet{
		sink: freeAddress(t), xds: freeAddress(t), console: freeAddress(t), self: freeAddress(t), directory: t.TempDir(),
		callers: map[string]string{}, clients: map[string]*http.Client{},
	}
	f.certify(t, "authority")
	f.certify(t, "gateway")
	var endpoints strings.Builder
	endpoints.WriteString("clusters:\n")
	for _, c := range clusters {
		fmt.Fprintf(&endpoints, "- {name: %q, envoy: {circuit_breakers: {thresholds: [{max_retries: 1000}]}}, endpoints: [", c.name)
		for range c.endpoints {
			app := openGrayApp(t, c)
			f.apps = append(f.apps, app)
			fmt.Fprintf(&endpoints, "{address: %q, idc: idc1}, ", app.address)
		}
		endpoints.WriteString("]}\n")
	}
	host, port, _ := net.SplitHostPort(f.self)
	p := startRun(t, "--no-default", "--config", writeFile(t, fmt.Sprintf(`
receivers:
  envoy:
    endpoint: %q
    %s
exporters: {debug: {}}
extensions:
  plugins: {}
  console: {endpoint: %q}
  failover: {mode: {endpoint: act}, idcs: {idc1: {weight: 100}}, thresholds: {endpoint: {healthy: %d}}, data_directory: %q}
  xds: {endpoint: %q, sources: [{file: %q}]}
service:
  telemetry: {logs: {level: warn, encoding: console}, metrics: {readers: [{pull: {exporter: {prometheus: {host: %s, port: %s}}}}]}}
  extensions: [plugins, failover, xds, console]
  pipelines: {metrics: {receivers: [envoy], exporters: [debug]}}
`, f.sink, f.example(t, "tls:", ""), f.console, int(grayClean.Seconds()), filepath.Join(t.TempDir(), "failover"),
		f.xds, writeFile(t, endpoints.String()), host, port)))
	p.expect(t, "Lockkeeper is ready")
	return f
}

func (f *grayFleet) file(name string) string { return filepath.Join(f.directory, name) }

// certify writes a certificate of this name, and its key. The first one signs all others.
func (f *grayFleet) certify(t *testing.T, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IsCA: f.authority == nil, BasicConstraintsValid: true,
	}
	if f.authority == nil {
		f.authority, f.key = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, f.authority, key.Public(), f.key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		require.NoError(t, os.WriteFile(f.file(file), pem.EncodeToMemory(block), 0o600))
	}
}

// example is the one of the receiver's README that begins so, with the certificate of a name.
func (f *grayFleet) example(t *testing.T, first, name string) string {
	t.Helper()
	_, example, found := strings.Cut(readFile(t, "envoy/README.md"), "```yaml\n"+first)
	require.True(t, found, first)
	example, _, _ = strings.Cut(example, "```")
	return first + strings.NewReplacer("/etc/lockkeeper", f.directory, "shop-1", name).Replace(example)
}

// call starts an Envoy that says to be a node, and has the certificate of the name.
func (f *grayFleet) call(t *testing.T, name, node string) {
	t.Helper()
	f.certify(t, name)
	_, text, _ := call(t, "snippet", "envoy", "--xds", f.xds, "--address", f.sink)
	var bootstrap object
	require.NoError(t, yaml.Unmarshal([]byte(text), &bootstrap))
	bootstrap["node"].(object)["id"] = node
	resources := bootstrap["static_resources"].(object)
	for _, cluster := range resources["clusters"].([]any) {
		if cluster := cluster.(object); cluster["name"] == "lockkeeper" { // as the README of the receiver says
			require.NoError(t, yaml.Unmarshal([]byte(f.example(t, "transport_socket:", name)), cluster))
		}
	}
	listen := freeAddress(t)
	resources["listeners"] = []any{f.listener(t, listen)}
	config, err := json.Marshal(bootstrap)
	require.NoError(t, err)
	startCommand(t, exec.Command(needsEnvoy(t), "--disable-hot-restart", "--concurrency", "1", "-c", writeFile(t, string(config)))).expect(t, "starting workers")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: patience}
	t.Cleanup(client.CloseIdleConnections)
	f.callers[name], f.clients[name] = listen, client
}

// listener passes a request on to the cluster that its header names, tries it again as often as it takes, and tells of each try.
func (f *grayFleet) listener(t *testing.T, listen string) object {
	t.Helper()
	_, text, _ := call(t, "snippet", "envoy", "--address", f.sink, "--upstream-log")
	var parts []any // as in pasted
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var part any
		if err := decoder.Decode(&part); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		parts = append(parts, part)
	}
	return object{"name": "calls", "address": socketAddress(t, listen), "filter_chains": []any{object{"filters": []any{object{"name": "http", "typed_config": object{
		"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix": "calls", "access_log": parts[1],
		"http_filters": []any{object{"name": "router", "typed_config": parts[4]}},
		"route_config": object{"validate_clusters": false, "virtual_hosts": []any{object{"name": "all", "domains": []any{"*"}, "routes": []any{object{
			"match": object{"prefix": "/"},
			"route": object{
				"cluster_header": "x-cluster", "timeout": "20s",
				"retry_policy": object{
					"retry_on": "5xx,reset,connect-failure", "num_retries": 5, "retry_back_off": object{"base_interval": "0.005s"},
				},
			},
		}}}}},
	}}}}}}
}

// serving is what the gateway serves now.
func (f *grayFleet) serving(t *testing.T) (s xds.Serving) {
	t.Helper()
	getJSON(t, "http://"+f.console+"/api/v1/serving", &s)
	return s
}

// events are those of a kind, oldest first.
func (f *grayFleet) events(t *testing.T, kind string) (all []failover.Event) {
	t.Helper()
	r, err := http.Get("http://" + f.console + "/api/v1/events?limit=10000&kind=" + kind)
	require.NoError(t, err)
	defer r.Body.Close()
	for lines := json.NewDecoder(r.Body); ; {
		var e failover.Event
		if err := lines.Decode(&e); errors.Is(err, io.EOF) {
			return all
		} else {
			require.NoError(t, err)
		}
		all = append(all, e)
	}
}

// metric is one of the gateway's own that has no labels.
func (f *grayFleet) metric(t *testing.T, name string) float64 {
	t.Helper()
	r, err := http.Get("http://" + f.self + "/metrics")
	require.NoError(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^` + name + `(?:\{[^}]*\})? (\S+)$`).FindSubmatch(text)
	require.NotNil(t, found, "%s is not in\n%s", name, text)
	value, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(t, err)
	return value
}
