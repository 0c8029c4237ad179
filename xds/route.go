package xds

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Route is a route configuration, and which of its weights follow the entry weights of the IDCs.
type Route struct {
	config *routev3.RouteConfiguration
	edges  []edge
}

// edge is a route at the entry: it shares requests out between one cluster for each IDC.
type edge struct {
	host, route int      // in the configuration
	idcs        []string // of its weighted clusters, in their order
}

// parseRoutes reads a file of route configurations. An edge route tells so in Envoy's own way, by metadata:
//
//	metadata: {filter_metadata: {lockkeeper: {entry: {idc1: CLUSTER, idc2: CLUSTER}}}}
func parseRoutes(name string, text []byte) ([]*Route, error) {
	var all []*Route
	err := parseResources(name, text, func() *routev3.RouteConfiguration { return &routev3.RouteConfiguration{} }, func(c *routev3.RouteConfiguration) error {
		r := &Route{config: c}
		var errs []error
		for h, host := range c.GetVirtualHosts() {
			for n, route := range host.GetRoutes() {
				idcs, err := edgeIDCs(route)
				if err != nil {
					errs = append(errs, fmt.Errorf("virtual_hosts[%s].routes[%d]: metadata: lockkeeper: %w", host.GetName(), n, err))
				}
				if idcs != nil {
					r.edges = append(r.edges, edge{host: h, route: n, idcs: idcs})
				}
			}
		}
		all = append(all, r)
		return errors.Join(errs...)
	})
	slices.SortFunc(all, func(a, b *Route) int { return cmp.Compare(a.config.GetName(), b.config.GetName()) })
	return all, err
}

// edgeIDCs are the IDCs of a route's weighted clusters; nil: it is no edge route.
func edgeIDCs(route *routev3.Route) ([]string, error) {
	ours := route.GetMetadata().GetFilterMetadata()["lockkeeper"]
	if ours == nil {
		return nil, nil
	}
	for _, key := range slices.Sorted(maps.Keys(ours.GetFields())) {
		if key != "entry" {
			return nil, fmt.Errorf("unknown key %q: there is only entry", key)
		}
	}
	clusters := map[string]string{} // by name: the IDC
	for idc, value := range ours.GetFields()["entry"].GetStructValue().GetFields() {
		if before, ok := clusters[value.GetStringValue()]; ok {
			return nil, fmt.Errorf("entry: %s is the cluster of both %s and %s", value.GetStringValue(), min(before, idc), max(before, idc))
		}
		clusters[value.GetStringValue()] = idc
	}
	weighted := route.GetRoute().GetWeightedClusters().GetClusters()
	if len(clusters) == 0 || len(clusters) != len(weighted) {
		return nil, fmt.Errorf("entry: must name each of the route's weighted_clusters, by IDC: has %d of %d", len(clusters), len(weighted))
	}
	idcs := make([]string, len(weighted))
	for i, cluster := range weighted {
		idc, ok := clusters[cluster.GetName()]
		if !ok {
			return nil, fmt.Errorf("entry: does not say which IDC cluster %q is of", cluster.GetName())
		}
		idcs[i] = idc
	}
	return idcs, nil
}

// weigh is the route configuration with the entry weights of the IDCs: a pure function. unweighted is how many edge routes keep the weights of the file,
// since none of their IDCs has one.
func (r *Route) weigh(s *Serving) (config *routev3.RouteConfiguration, unweighted int64) {
	if s.IDCs == nil || len(r.edges) == 0 {
		return r.config, 0
	}
	config = proto.CloneOf(r.config)
	for _, e := range r.edges {
		var sum uint32
		for _, idc := range e.idcs {
			sum += s.IDCs[idc].Entry
		}
		if sum == 0 { // illegal, and nothing would be served
			unweighted++
			continue
		}
		clusters := config.VirtualHosts[e.host].Routes[e.route].GetRoute().GetWeightedClusters()
		for i, idc := range e.idcs {
			clusters.Clusters[i].Weight = wrapperspb.UInt32(s.IDCs[idc].Entry)
		}
	}
	return config, unweighted
}
