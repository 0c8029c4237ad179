package xds

import (
	"os"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// joined is what files say together.
func joined(texts ...string) ([]*Cluster, error) {
	var files []*sourceFile
	for i, text := range texts {
		f, err := parseSource(string(rune('a'+i))+".yaml", []byte(text))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return joinSources(files)
}

func TestSource(t *testing.T) {
	text, err := os.ReadFile("testdata/endpoints.yaml")
	require.NoError(t, err)
	machines, err := os.ReadFile("testdata/machines.yaml")
	require.NoError(t, err)
	clusters, err := joined(string(text), string(machines))
	require.NoError(t, err)
	require.Len(t, clusters, 1)
	require.Equal(t, "outbound|8080||reviews.default.svc.cluster.local", clusters[0].Name)
	require.Len(t, clusters[0].places, 2)
	require.Equal(t, "idc1", clusters[0].places[0].idc)
	require.Equal(t, []string{"endpoint/127.1.0.11:8080", "machine/m11"}, clusters[0].places[0].endpoints[0].subjects)
	// Without any machines their names are taken as they are: nothing is known of where they stand.
	clusters, err = joined(string(text))
	require.NoError(t, err)
	require.Len(t, clusters[0].places, 1)
	require.Equal(t, []string{"endpoint/127.1.0.11:8080", "machine/m11"}, clusters[0].places[0].endpoints[0].subjects)
	// A machine is known by its address, too, and may be named elsewhere: in the file of the receiver probes.
	clusters, err = joined(`clusters: [{name: b, endpoints: [{address: "192.0.2.1:80"}, {address: "192.0.2.2:80", idc: idc9}, {address: "192.0.2.3:80", machine: m1}]}, {name: a}]`,
		`machines: [{name: m1, address: "192.0.2.1:22", idc: idc1, probes: [{module: agent, target: ":22"}]}]`)
	require.NoError(t, err)
	require.Equal(t, "a", clusters[0].Name)
	content := &Content{Clusters: clusters}
	require.Equal(t, map[string][]int{"endpoint/192.0.2.1:80": {1}, "endpoint/192.0.2.2:80": {1}, "endpoint/192.0.2.3:80": {1}, "machine/m1": {1}}, content.index())
	groups, on := content.groups()
	require.Equal(t, map[string][]string{"b": {"endpoint/192.0.2.1:80", "endpoint/192.0.2.2:80", "endpoint/192.0.2.3:80"}, "b machines": {"machine/m1"}}, groups)
	require.Equal(t, map[string][]string{"machine/m1": {"endpoint/192.0.2.1:80", "endpoint/192.0.2.3:80"}}, on)
	_, err = joined("clusters: []")
	require.NoError(t, err)
}

func TestSourceMistakes(t *testing.T) {
	f := func(text string, wants ...string) {
		t.Helper()
		_, err := joined(text)
		for _, want := range wants {
			require.ErrorContains(t, err, want)
		}
	}
	f("", "a.yaml: is empty")
	f("{}", "names neither clusters nor machines, which may be a mistake: write clusters: []")
	f("clusters: [{name: a, endpoint: []}]\nmachine: []", `a.yaml:1: unknown key "endpoint"`, `a.yaml:2: unknown key "machine"`)
	f("clusters: {a: b}", "a.yaml:1: cannot unmarshal")
	f("clusters: []\n---\n", "more than one document")
	f("clusters: [{name: a}, {name: a}]", `a.yaml:1: cluster "a": is named at a.yaml:1 already`)
	f("clusters: [{name: ''}]", "name: must have 1 to 1024 characters")
	f("clusters: [{name: a, connect_timeout: -1s}]", "connect_timeout: -1s is below 0")
	f("clusters: [{name: a, envoy: {type: STATIC}}]", "envoy::type: is what the gateway says: leave it out")
	f("clusters: [{name: a, envoy: {load_balancing_policy: {}}}]", "envoy::load_balancing_policy: would make the weights of localities void")
	f("clusters: [{name: a, envoy: {lb_polici: RANDOM}}]", `envoy: unknown field "lb_polici"`)
	f("clusters: [{name: a, envoy: {connect_timeout: soon}}]", "envoy: ", "soon")
	f(`clusters: [{name: a, http2: true, envoy: {typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http_protocol_options: {}}}}}}]`,
		"http2: envoy::typed_extension_protocol_options says which HTTP already")
	// All of it at once, each with its line.
	f(`
clusters:
- name: a
  endpoints:
  - {address: example.com:80}
  - {address: "192.0.2.1:0"}
  - {address: "192.0.2.1:80", weight: 0}
  - {address: "192.0.2.1:80", machine: nobody}
  - {address: "192.0.2.2:80", idc: idc2, machine: m1}
  - {address: "192.0.2.3:80"}
  - {address: "192.0.2.3:80"}
machines:
- {name: m1, address: 192.0.2.1, idc: idc1}
- {name: m1, address: 192.0.2.2}
- {name: m2, address: 192.0.2.1}
- {name: m3, address: nowhere}
- {address: 192.0.2.9}
`, `a.yaml:5: cluster "a": endpoint "example.com:80": address: must be IP:port`, "a.yaml:6: ", "a.yaml:7: ", "weight: must be 1 to 10000, is 0", `a.yaml:8: cluster "a": endpoint "192.0.2.1:80": machine: there is no "nobody"`,
		"a.yaml:9: ", "idc: idc2, but its machine m1 is in idc1", "a.yaml:11: ", "is there already, at a.yaml:10",
		`a.yaml:14: machine "m1": is named at a.yaml:13 already`, `a.yaml:15: machine "m2": address: 192.0.2.1 is that of "m1" already`, `a.yaml:16: machine "m3": address: "nowhere" is no IP address`, `a.yaml:17: machine "": name: missing`)
}

func TestClusterResource(t *testing.T) {
	f := func(text string) *clusterv3.Cluster {
		t.Helper()
		clusters, err := joined("clusters: [" + text + "]")
		require.NoError(t, err)
		var body anypb.Any
		require.NoError(t, proto.Unmarshal(clusters[0].resource.Body, &body))
		c := &clusterv3.Cluster{}
		require.NoError(t, body.UnmarshalTo(c))
		require.Equal(t, clusterv3.Cluster_EDS, c.GetType())
		require.NotNil(t, c.EdsClusterConfig.EdsConfig.GetAds())
		require.True(t, c.IgnoreHealthOnHostRemoval)
		require.Zero(t, c.CommonLbConfig.HealthyPanicThreshold.Value)
		require.NotNil(t, c.CommonLbConfig.GetLocalityWeightedLbConfig())
		return c
	}
	require.Equal(t, time.Second, f("{name: a}").ConnectTimeout.AsDuration())
	require.Equal(t, 250*time.Millisecond, f("{name: a, connect_timeout: 250ms}").ConnectTimeout.AsDuration())
	require.Equal(t, 3*time.Second, f("{name: a, envoy: {connect_timeout: 3s}}").ConnectTimeout.AsDuration())
	require.NotNil(t, f("{name: a, http2: true}").TypedExtensionProtocolOptions[httpOptions])
	require.Equal(t, clusterv3.Cluster_LEAST_REQUEST, f("{name: a, envoy: {lb_policy: LEAST_REQUEST}}").LbPolicy)
	// What would undo a removal is not to be had.
	c := f("{name: a, envoy: {ignore_health_on_host_removal: false, common_lb_config: {healthy_panic_threshold: {value: 50}, zone_aware_lb_config: {}, close_connections_on_host_set_change: true}}}")
	require.True(t, c.CommonLbConfig.CloseConnectionsOnHostSetChange)
	tls := f(`{name: a, envoy: {transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: example.com}}}}`)
	require.Equal(t, "tls", tls.TransportSocket.Name)
}
