package xds

import "context"

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

// groups are the subjects that serve the same, by cluster. Machines are a group of their own: whoever takes out one part of a cluster by its machine and
// another by its endpoint counts each among its like.
func (c *Content) groups() map[string][]string {
	groups := map[string][]string{}
	for _, cluster := range c.Clusters {
		machines, seen := cluster.Name+" machines", map[string]bool{}
		for _, place := range cluster.places {
			for i := range place.endpoints {
				e := &place.endpoints[i]
				groups[cluster.Name] = append(groups[cluster.Name], endpointPrefix+e.Address.String())
				if e.Machine != "" && !seen[e.Machine] {
					seen[e.Machine] = true
					groups[machines] = append(groups[machines], machinePrefix+e.Machine)
				}
			}
		}
	}
	return groups
}

// What subjects begin with.
const (
	endpointPrefix = "endpoint/"
	machinePrefix  = "machine/"
)
