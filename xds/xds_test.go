package xds

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const twoClusters = `
clusters:
- name: one
  endpoints: [{address: "192.0.2.1:80", machine: a}, {address: "192.0.2.3:80", machine: b}]
- name: two
  endpoints: [{address: "192.0.2.1:81"}, {address: "192.0.2.5:80", idc: idc2}]
machines: [{name: a, address: 192.0.2.1, idc: idc1}, {name: b, address: 192.0.2.2, idc: idc2}]
`

// served is what the cache has of a type, nil: there is no such resource.
func (f *fleet) served(t *testing.T, name string, m proto.Message) bool {
	t.Helper()
	f.cache.mu.RLock()
	defer f.cache.mu.RUnlock()
	r := f.cache.find(typePrefix+string(m.ProtoReflect().Descriptor().FullName()), name)
	if r == nil {
		return false
	}
	var body anypb.Any
	require.NoError(t, proto.Unmarshal(r.Body, &body))
	require.NoError(t, body.UnmarshalTo(m))
	return true
}

// groups are what the decider was told.
func (f *fleet) groups() map[string][]string {
	f.decider.mu.Lock()
	defer f.decider.mu.Unlock()
	return f.decider.told
}

// endpoints is the assignment of a cluster in a line; "-": there is none.
func (f *fleet) endpoints(t *testing.T, cluster string) string {
	t.Helper()
	a := &endpointv3.ClusterLoadAssignment{}
	if !f.served(t, cluster, a) {
		return "-"
	}
	return show(t, a)
}

func (f *fleet) counter(t *testing.T, name string, attributes ...string) (sum int64) {
	t.Helper()
	m, err := f.telemetry.GetMetric(name)
	require.NoError(t, err)
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, p := range points {
		matches := true
		for i := 0; i < len(attributes); i += 2 {
			value, _ := p.Attributes.Value(attribute.Key(attributes[i]))
			matches = matches && value.AsString() == attributes[i+1]
		}
		if matches {
			sum += p.Value
		}
	}
	return sum
}

func TestServes(t *testing.T) {
	f := startFleet(t, map[string]string{"endpoints.yaml": twoClusters, "routes.yaml": edgeRoutes})
	// Nothing is decided yet: whoever connects waits, since an empty answer would have him forget all he has.
	require.Equal(t, "-", f.endpoints(t, "one"))
	f.decider.decide(Serving{})
	require.Equal(t, "idc1 1: 1; idc2 1: 3", f.endpoints(t, "one"))
	f.decider.decide(Serving{Out: dead("machine/a")})
	require.Equal(t, "idc2 1: 3", f.endpoints(t, "one"))
	require.Equal(t, "idc2 1: 5", f.endpoints(t, "two"))
	require.EqualValues(t, 2, f.counter(t, "lockkeeper_xds_endpoints", "state", "serving"))
	require.EqualValues(t, 2, f.counter(t, "lockkeeper_xds_endpoints", "state", "removed"))
	f.decider.decide(Serving{Out: gray("machine/a", "endpoint/192.0.2.5:80")})
	require.Equal(t, "idc1 1: 1/draining; idc2 1: 3", f.endpoints(t, "one"))
	require.EqualValues(t, 1, f.counter(t, "lockkeeper_xds_endpoints", "state", "draining"))
	require.EqualValues(t, 2, f.counter(t, "lockkeeper_xds_endpoints", "state", "kept"))
	require.EqualValues(t, 1, f.counter(t, "lockkeeper_xds_endpoints", "state", "serving"))
	f.decider.decide(Serving{IDCs: shares(0, 10_000)})
	require.Equal(t, "idc2 10000: 3", f.endpoints(t, "one"))
	require.EqualValues(t, 2, f.counter(t, "lockkeeper_xds_endpoints", "state", "elsewhere"))
	edge := &routev3.RouteConfiguration{}
	require.True(t, f.served(t, "edge", edge))
	require.Zero(t, edge.VirtualHosts[0].Routes[1].GetRoute().GetWeightedClusters().Clusters[0].Weight.GetValue())
	require.Zero(t, f.counter(t, "lockkeeper_xds_unplaced_clusters"))
	f.decider.decide(Serving{IDCs: map[string]IDC{"idc1": {Mesh: Whole}, "idc3": {Entry: Whole}}})
	require.EqualValues(t, 2, f.counter(t, "lockkeeper_xds_unplaced_clusters"))
	require.EqualValues(t, 1, f.counter(t, "lockkeeper_xds_unweighted_routes"))
	f.decider.decide(Serving{})
	require.Equal(t, "idc1 1: 1; idc2 1: 3", f.endpoints(t, "one"))
	require.EqualValues(t, 4, f.counter(t, "lockkeeper_xds_endpoints"))
	require.Equal(t, []string{"machine/a", "machine/b"}, f.groups()["one machines"])
}

// Without anybody who decides, everything is served at once.
func TestServesAlone(t *testing.T) {
	cfg := createDefaultConfig()
	cfg.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.Sources = []SourceConfig{{File: "testdata/endpoints.yaml"}, {File: "testdata/machines.yaml"}}
	x := newXDS(cfg, componenttest.NewNopTelemetrySettings())
	require.NoError(t, x.Start(t.Context(), extensions{}))
	defer func() { require.NoError(t, x.Shutdown(t.Context())) }()
	total, _, _ := x.overlay.counts()
	require.EqualValues(t, 3, total.endpoints[serving])
}

// What is wrong with the files is a mistake of the configuration, too.
func TestStartMistakes(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		cfg := createDefaultConfig()
		cfg.NetAddr.Endpoint = "127.0.0.1:0"
		cfg.Sources = []SourceConfig{{File: "testdata/endpoints.yaml"}}
		change(cfg)
		x := newXDS(cfg, componenttest.NewNopTelemetrySettings())
		require.ErrorContains(t, x.Start(t.Context(), extensions{}), want)
		if !strings.Contains(want, "listens") {
			require.ErrorContains(t, cfg.Validate(), want)
		}
	}
	f("sources::0::file: open nowhere.yaml", func(c *Config) { c.Sources[0].File = "nowhere.yaml" })
	f("listeners: testdata/endpoints.yaml:2: unknown key \"clusters\"", func(c *Config) { c.Listeners = "testdata/endpoints.yaml" })
	f("routes: read \"testdata\": ", func(c *Config) { c.Routes = "testdata" })
	f("sources: testdata/endpoints.yaml:3: cluster", func(c *Config) { c.Sources = append(c.Sources, c.Sources[0]) })
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	f("end what listens there, or set another endpoint", func(c *Config) { c.NetAddr.Endpoint = taken.Addr().String() })
}

// Files are taken up as they change; one with mistakes leaves all at work as it was.
func TestFilesAreFollowed(t *testing.T) {
	f := startFleet(t, map[string]string{"endpoints.yaml": twoClusters, "routes.yaml": edgeRoutes})
	f.decider.decide(Serving{Out: dead("machine/a")})
	errors := func(n int) func() bool {
		return func() bool {
			return f.counter(t, "lockkeeper_xds_reload_errors_total") == int64(n) && f.logs.FilterMessageSnippet("mistakes").Len() == n
		}
	}
	f.write(t, "endpoints.yaml", "clusters: [{name: one, endpoints: [{address: nowhere}]}]")
	within(t, "the mistake to be told", errors(1))
	require.Equal(t, "idc2 1: 3", f.endpoints(t, "one"))
	f.write(t, "endpoints.yaml", "clusters: [")
	within(t, "the next mistake to be told", errors(2))
	// Others are taken up all the same.
	f.write(t, "routes.yaml", strings.ReplaceAll(edgeRoutes, "name: edge", "name: other"))
	within(t, "the new route", func() bool { return f.served(t, "other", &routev3.RouteConfiguration{}) })
	require.False(t, f.served(t, "edge", &routev3.RouteConfiguration{}))
	require.Equal(t, "idc2 1: 3", f.endpoints(t, "one"))
	f.write(t, "endpoints.yaml", "clusters: [{name: one, endpoints: [{address: '192.0.2.1:80', machine: a}, {address: '192.0.2.9:80'}]}]")
	within(t, "the new endpoints, without the dead one", func() bool { return f.endpoints(t, "one") == " 1: 9" })
	require.Equal(t, "-", f.endpoints(t, "two"))
	require.NotContains(t, f.groups(), "two")
	require.NoError(t, os.Remove(f.directory+"/endpoints.yaml"))
	within(t, "the lost file to be told", errors(3))
	require.Equal(t, " 1: 9", f.endpoints(t, "one"))
	f.write(t, "endpoints.yaml", "clusters: []")
	within(t, "nothing to be served", func() bool { return f.endpoints(t, "one") == "-" })
	require.Zero(t, f.logs.FilterLevelExact(zap.DPanicLevel).Len())
}

func TestConfig(t *testing.T) {
	cfg, err := loadConfig(t, `{endpoint: "localhost:1", sources: [{file: testdata/endpoints.yaml}, {file: testdata/machines.yaml}],
  listeners: testdata/live/listeners.yaml, routes: testdata/live/routes.yaml, tls: {cert_file: x, key_file: y}}`)
	require.NoError(t, err)
	require.Equal(t, "localhost:1", cfg.NetAddr.Endpoint)
	require.Equal(t, 30*time.Second, cfg.Keepalive.Get().ServerParameters.Get().Time)
	require.EqualValues(t, 100, cfg.MaxConcurrentStreams)
	f := func(text string, wants ...string) {
		t.Helper()
		_, err := loadConfig(t, text)
		for _, want := range wants {
			require.ErrorContains(t, err, want)
		}
	}
	f("{}", "sources: there is none: such as [{file: endpoints.yaml}]")
	f("source: []", "source")
	f("{sources: [{file: a}, {}, {file: a}], listeners: b, routes: b}", "sources::1::file: missing", "sources::2::file: a is the file of sources::0::file already", "routes: b is the file of listeners already")
	// Those of all files at once, and those of keys with them.
	f("{sources: [{file: testdata/live/routes.yaml}, {}], listeners: testdata/live/bootstrap.yaml}", "sources::1::file: missing",
		`sources::0::file: testdata/live/routes.yaml:1: unknown key "resources"`, `listeners: testdata/live/bootstrap.yaml:1: unknown key "node"`)
}

// The example on the page is a configuration with the defaults, and its files are files.
func TestREADMEExample(t *testing.T) {
	blocks := readmeBlocks(t, "yaml")
	require.Len(t, blocks, 4)
	var all struct{ Extensions map[string]any }
	require.NoError(t, yaml.Unmarshal([]byte(blocks[0]), &all))
	one, err := yaml.Marshal(all.Extensions["xds"])
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"endpoints.yaml": blocks[1], "machines.yaml": "machines: []", "listeners.yaml": blocks[3], "routes.yaml": blocks[2]} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	cfg, err := loadConfig(t, string(one))
	require.NoError(t, err)
	require.Equal(t, createDefaultConfig().ServerConfig, cfg.ServerConfig)
	routes, err := parseRoutes("routes.yaml", []byte(blocks[2]))
	require.NoError(t, err)
	require.Len(t, routes[0].edges, 1)
}

// readmeBlocks are the README's texts in a language.
func readmeBlocks(t *testing.T, language string) (blocks []string) {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, rest := range strings.Split(string(readme), "```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

// Every metric is in the README.
func TestREADMEMetrics(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, file := range []string{"xds.go", "server_metrics.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, part := range strings.Split(string(source), `"lockkeeper_xds_`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			names[name] = true
			require.Contains(t, string(readme), "`lockkeeper_xds_"+name)
		}
	}
	require.Greater(t, len(names), 10)
}
