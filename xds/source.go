package xds

import (
	"context"
	"slices"
)

// source knows what there is to serve.
type source interface {
	// Run calls apply with all that the source knows, and again with all of it after each change, one call at a time, until ctx ends. What it
	// has handed out it does not change. An error is one that keeps it from going on.
	Run(ctx context.Context, apply func(*Content)) error
}

// Content is all that there is to serve, as if nothing were out. It is immutable once it is handed out.
type Content struct {
	Clusters  []*Cluster // by name
	Listeners map[string]*Resource
	Routes    []*Route // by name
}

// index tells which clusters a subject, machine/NAME or endpoint/ADDRESS, has endpoints in.
func (c *Content) index() map[string][]int {
	index := map[string][]int{}
	for n, cluster := range c.Clusters {
		for _, place := range cluster.places {
			for i := range place.endpoints {
				for _, subject := range place.endpoints[i].subjects {
					if of := index[subject]; len(of) == 0 || of[len(of)-1] != n {
						index[subject] = append(of, n)
					}
				}
			}
		}
	}
	return index
}

// names are those of all resources, by type URL.
func (c *Content) names() map[string]map[string]struct{} {
	names := map[string]map[string]struct{}{ClusterType: {}, ListenerType: {}, RouteType: {}}
	names[AssignmentType] = names[ClusterType]
	for _, cluster := range c.Clusters {
		names[ClusterType][cluster.Name] = struct{}{}
	}
	for name := range c.Listeners {
		names[ListenerType][name] = struct{}{}
	}
	for _, route := range c.Routes {
		names[RouteType][route.config.GetName()] = struct{}{}
	}
	return names
}

// groups are the subjects that serve the same, by cluster, and the endpoints that are on a machine, by its subject. The machines of a cluster are a group of
// their own: whoever takes out one part of a cluster by its machine and another by its endpoint counts each among its like.
func (c *Content) groups() (clusters, machines map[string][]string) {
	clusters, machines = map[string][]string{}, map[string][]string{}
	for _, cluster := range c.Clusters {
		group := cluster.Name + " machines"
		for _, place := range cluster.places {
			for i := range place.endpoints {
				e := &place.endpoints[i]
				endpoint := endpointPrefix + e.Address.String()
				clusters[cluster.Name] = append(clusters[cluster.Name], endpoint)
				if e.Machine == "" {
					continue
				}
				machine := machinePrefix + e.Machine
				machines[machine] = append(machines[machine], endpoint)
				clusters[group] = append(clusters[group], machine)
			}
		}
	}
	for _, groups := range []map[string][]string{clusters, machines} {
		for name, group := range groups {
			slices.Sort(group)
			groups[name] = slices.Compact(group)
		}
	}
	return clusters, machines
}

// What subjects begin with.
const (
	endpointPrefix = "endpoint/"
	machinePrefix  = "machine/"
)
