package xds

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

const edgeRoutes = `
resources:
- name: edge
  virtual_hosts:
  - name: all
    domains: ["*"]
    routes:
    - match: {prefix: /other}
      route: {weighted_clusters: {clusters: [{name: a, weight: 30}, {name: b, weight: 70}]}}
    - match: {prefix: /}
      metadata: {filter_metadata: {lockkeeper: {entry: {idc2: b, idc1: a}}, mine: {x: y}}}
      route: {weighted_clusters: {clusters: [{name: a, weight: 30}, {name: b, weight: 70}]}}
`

func TestWeigh(t *testing.T) {
	routes, err := parseRoutes("routes.yaml", []byte(edgeRoutes))
	require.NoError(t, err)
	before := proto.Clone(routes[0].config)
	f := func(a, b uint32, unweighted int64, idcs map[string]IDC) {
		t.Helper()
		config, n := routes[0].weigh(&Serving{IDCs: idcs})
		weights := func(r *routev3.Route) (all []uint32) {
			for _, c := range r.GetRoute().GetWeightedClusters().Clusters {
				all = append(all, c.Weight.GetValue())
			}
			return all
		}
		require.Equal(t, []uint32{30, 70}, weights(config.VirtualHosts[0].Routes[0]))
		require.Equal(t, []uint32{a, b}, weights(config.VirtualHosts[0].Routes[1]))
		require.Equal(t, unweighted, n)
		require.NoError(t, config.ValidateAll())
		require.True(t, proto.Equal(before, routes[0].config))
	}
	f(30, 70, 0, nil)
	f(5_000, 5_000, 0, shares(5_000, 5_000))
	f(10_000, 0, 0, shares(10_000, 0))
	f(100, 9_900, 0, shares(100, 9_900))
	f(10_000, 0, 0, map[string]IDC{"idc1": {Entry: 10_000}}) // of an IDC nothing is known
	f(30, 70, 1, map[string]IDC{"idc3": {Entry: 10_000}})
	f(30, 70, 1, shares(0, 0))
}

func TestRouteMistakes(t *testing.T) {
	f := func(want, text string) {
		t.Helper()
		_, err := parseRoutes("routes.yaml", []byte(text))
		require.ErrorContains(t, err, want)
	}
	edge := func(metadata, clusters string) string {
		return `resources: [{name: edge, virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, metadata: {filter_metadata: {lockkeeper: ` + metadata +
			`}}, route: {` + clusters + `}}]}]}]`
	}
	const two = "weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 1}]}"
	f(`routes.yaml:1: resource "edge": virtual_hosts[all].routes[0]: metadata: lockkeeper: entry: must name each of the route's weighted_clusters, by IDC: has 0 of 2`, edge("{}", two))
	f(`unknown key "enter": there is only entry`, edge("{enter: {idc1: a, idc2: b}}", two))
	f("has 1 of 2", edge("{entry: {idc1: a}}", two))
	f("has 1 of 0", edge("{entry: {idc1: a}}", "cluster: a"))
	f(`does not say which IDC cluster "b" is of`, edge("{entry: {idc1: a, idc2: c}}", two))
	f("a is the cluster of both idc1 and idc2", edge("{entry: {idc1: a, idc2: a}}", two))
}
