package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// clusterOf is a cluster of endpoints such as "a@idc1": 192.0.2.1:80 on machine a in idc1, and so on.
func clusterOf(t testing.TB, endpoints ...string) *Cluster {
	t.Helper()
	var text strings.Builder
	text.WriteString("clusters: [{name: app, endpoints: [")
	for i, e := range endpoints {
		name, _, _ := strings.Cut(e, "@")
		fmt.Fprintf(&text, "{address: '192.0.2.%d:80', machine: %s},", i+1, name)
	}
	text.WriteString("]}]\nmachines: [")
	for i, e := range endpoints {
		name, idc, _ := strings.Cut(e, "@")
		fmt.Fprintf(&text, "{name: %s, address: 192.0.2.%d, idc: %q},", name, i+1, idc)
	}
	text.WriteString("]")
	f, err := parseSource("test.yaml", []byte(text.String()))
	require.NoError(t, err)
	clusters, err := joinSources([]*sourceFile{f})
	require.NoError(t, err)
	return clusters[0]
}

// show is an assignment in a line: "idc1 5000: 1 2/draining; idc2 5000: 3", endpoints by the end of their address.
func show(t testing.TB, a *endpointv3.ClusterLoadAssignment) string {
	t.Helper()
	var localities []string
	for _, l := range decoded(t, a).Endpoints {
		line := fmt.Sprintf("%s %d:", l.Locality.Region, l.LoadBalancingWeight.GetValue())
		for _, e := range l.LbEndpoints {
			ip := e.GetEndpoint().Address.GetSocketAddress().Address
			line += " " + ip[strings.LastIndexByte(ip, '.')+1:]
			if e.HealthStatus != 0 {
				line += "/" + strings.ToLower(e.HealthStatus.String())
			}
		}
		localities = append(localities, line)
	}
	return strings.Join(localities, "; ")
}

// decoded is an assignment as Envoy reads it: of one that was just made the endpoints are bytes that it does not know.
func decoded(t testing.TB, a *endpointv3.ClusterLoadAssignment) *endpointv3.ClusterLoadAssignment {
	t.Helper()
	encoded, err := proto.Marshal(a)
	require.NoError(t, err)
	all := &endpointv3.ClusterLoadAssignment{}
	require.NoError(t, proto.Unmarshal(encoded, all))
	require.NoError(t, all.ValidateAll())
	return all
}

func TestAssign(t *testing.T) {
	f := func(want string, s Serving, endpoints ...string) {
		t.Helper()
		cluster := clusterOf(t, endpoints...)
		a, counted := assign(cluster, &s)
		if diff := cmp.Diff(want, show(t, a)); diff != "" {
			t.Error(diff)
		}
		var sum int64
		for _, n := range counted.endpoints {
			sum += n
		}
		require.EqualValues(t, len(endpoints), sum)
	}
	both := func(a, b map[string]Out) map[string]Out { maps.Copy(a, b); return a }
	four := []string{"a@idc1", "b@idc1", "c@idc2", "d@idc2"}

	// Nothing is known: each endpoint alike.
	f("idc1 2: 1 2; idc2 2: 3 4", Serving{}, four...)
	f("idc1 1: 1; idc2 3: 2 3 4", Serving{}, "a@idc1", "b@idc2", "c@idc2", "d@idc2")
	f(" 1: 1", Serving{}, "a@")
	f("", Serving{})
	// Dead ones are gone, gray ones drain; dead wins.
	f("idc1 1: 2; idc2 2: 3 4", Serving{Out: dead("machine/a")}, four...)
	f("idc1 1: 2; idc2 2: 3 4", Serving{Out: dead("endpoint/192.0.2.1:80")}, four...)
	f("idc1 1: 1/draining 2; idc2 2: 3 4", Serving{Out: gray("machine/a")}, four...)
	f("idc1 1: 2; idc2 2: 3 4", Serving{Out: both(gray("machine/a"), dead("endpoint/192.0.2.1:80"))}, four...)
	f("idc2 2: 3 4", Serving{Out: dead("machine/a", "machine/b")}, four...)
	f("idc1 1: 1/draining 2/draining; idc2 2: 3 4", Serving{Out: gray("machine/a", "machine/b")}, four...)
	// What others serve is none of it.
	f("idc1 2: 1 2; idc2 2: 3 4", Serving{Out: dead("machine/x", "endpoint/192.0.2.1:81", "idc/idc1/mesh")}, four...)
	// Never nothing: the gray ones serve before none does, and the dead ones before that.
	f("idc1 1: 1", Serving{Out: dead("machine/a")}, "a@idc1")
	f("idc1 1: 1", Serving{Out: gray("machine/a")}, "a@idc1")
	f("idc1 1: 2", Serving{Out: both(dead("machine/a"), gray("machine/b"))}, "a@idc1", "b@idc1")
	f("idc1 2: 1 2; idc2 2: 3 4", Serving{Out: dead("machine/a", "machine/b", "machine/c", "machine/d")}, four...)
	// The IDCs' weights.
	f("idc1 5000: 1 2; idc2 5000: 3 4", Serving{IDCs: shares(5_000, 5_000)}, four...)
	f("idc1 100: 1 2; idc2 9900: 3 4", Serving{IDCs: shares(100, 9_900)}, four...)
	f("idc2 10000: 3 4", Serving{IDCs: shares(0, 10_000)}, four...)
	f("idc1 5000: 1; idc2 5000: 2 3 4", Serving{IDCs: shares(5_000, 5_000)}, "a@idc1", "b@idc2", "c@idc2", "d@idc2")
	// An IDC that lost more than it can spare gets less.
	f("idc1 3500: 2; idc2 5000: 3 4", Serving{IDCs: shares(5_000, 5_000), Out: dead("machine/a")}, four...)
	f("idc1 3500: 1/draining 2; idc2 5000: 3 4", Serving{IDCs: shares(5_000, 5_000), Out: gray("machine/a")}, four...)
	f("idc1 1400: 5; idc2 5000: 6", Serving{IDCs: shares(5_000, 5_000), Out: dead("machine/a", "machine/b", "machine/c", "machine/d")},
		"a@idc1", "b@idc1", "c@idc1", "d@idc1", "e@idc1", "f@idc2")
	f("idc1 5000: 1 2 3; idc2 5000: 5", Serving{IDCs: shares(5_000, 5_000), Out: dead("machine/d")}, "a@idc1", "b@idc1", "c@idc1", "d@idc1", "e@idc2")
	f("idc1 1: 2; idc2 9999: 3 4", Serving{IDCs: shares(1, 9_999), Out: dead("machine/a")}, four...)
	// An IDC that has lost all gets nothing, and one whose endpoints all drain next to nothing.
	f("idc2 5000: 3 4", Serving{IDCs: shares(5_000, 5_000), Out: dead("machine/a", "machine/b")}, four...)
	f("idc1 1: 1/draining 2/draining; idc2 5000: 3 4", Serving{IDCs: shares(5_000, 5_000), Out: gray("machine/a", "machine/b")}, four...)
	// Weights yield when those with one have nothing that serves.
	f("idc2 2: 3 4", Serving{IDCs: shares(10_000, 0), Out: dead("machine/a", "machine/b")}, four...)
	f("idc2 1: 1", Serving{IDCs: shares(10_000, 0)}, "a@idc2")
	// They do not apply where something is not known.
	f("idc1 1: 1; idc3 1: 2", Serving{IDCs: shares(0, 10_000)}, "a@idc1", "b@idc3")
	f(" 1: 1; idc2 1: 2", Serving{IDCs: shares(10_000, 0)}, "a@", "b@idc2")
}

// What is encoded in pieces is what protobuf makes of the whole.
func TestAssignmentIsWhole(t *testing.T) {
	f, err := parseSource("test.yaml", []byte(`
clusters:
- name: app
  endpoints:
  - {address: "192.0.2.1:80", idc: idc1, weight: 7, workload: app-v1, app: app, version: v1}
  - {address: "[2001:db8::1]:8080", idc: idc1}
`))
	require.NoError(t, err)
	clusters, err := joinSources([]*sourceFile{f})
	require.NoError(t, err)
	a, _ := assign(clusters[0], &Serving{Out: gray("endpoint/[2001:db8::1]:8080")})
	got := decoded(t, a)
	want := &endpointv3.ClusterLoadAssignment{}
	require.NoError(t, fromYAML(map[string]any{"cluster_name": "app", "endpoints": []any{map[string]any{
		"locality": map[string]any{"region": "idc1"}, "load_balancing_weight": 7, "lb_endpoints": []any{
			map[string]any{
				"endpoint":              map[string]any{"address": map[string]any{"socket_address": map[string]any{"address": "192.0.2.1", "port_value": 80}}},
				"load_balancing_weight": 7,
				"metadata":              map[string]any{"filter_metadata": map[string]any{"istio": map[string]any{"workload": "app-v1", "app": "app", "version": "v1"}}},
			},
			map[string]any{
				"endpoint":              map[string]any{"address": map[string]any{"socket_address": map[string]any{"address": "2001:db8::1", "port_value": 8080}}},
				"load_balancing_weight": 1, "health_status": "DRAINING",
			},
		},
	}}}, want))
	require.True(t, proto.Equal(want, got), got)
}

// Whatever is out and whatever the weights are: something serves, and Envoy takes it.
func TestAssignNeverNothing(t *testing.T) {
	cluster := clusterOf(t, "a@idc1", "b@idc1", "c@idc2", "d@idc2", "e@idc3")
	machines := []string{"machine/a", "machine/b", "machine/c", "machine/d", "machine/e"}
	weights := []map[string]IDC{nil, shares(5_000, 5_000), {}}
	for _, of := range [][3]uint32{{10_000, 0, 0}, {0, 10_000, 0}, {0, 0, 10_000}, {1, 9_999, 0}, {3_333, 3_333, 3_334}, {0, 0, 0}} {
		weights = append(weights, map[string]IDC{"idc1": {Mesh: of[0]}, "idc2": {Mesh: of[1]}, "idc3": {Mesh: of[2]}})
	}
	for combination := range 243 { // each serves, is dead or gray
		out := map[string]Out{}
		for i, rest := 0, combination; i < len(machines); i, rest = i+1, rest/3 {
			if rest%3 > 0 {
				out[machines[i]] = Out{Drain: rest%3 == 2}
			}
		}
		for _, idcs := range weights {
			a, _ := assign(cluster, &Serving{Out: out, IDCs: idcs})
			var serves bool
			for _, l := range decoded(t, a).Endpoints {
				serves = serves || slices.ContainsFunc(l.LbEndpoints, func(e *endpointv3.LbEndpoint) bool { return e.HealthStatus == 0 })
			}
			require.True(t, serves, "%v %v: %s", out, idcs, show(t, a))
		}
	}
}
