package failover

import (
	"maps"
	"slices"
)

// places is where endpoints are: what others know better than the mesh.
type places struct {
	clusters map[string][]string
	machines map[string][]string
}

// Place tells which subjects serve the same, by the name of their cluster, and which endpoints are on a machine, by its subject. Of a
// cluster that is told of, what the mesh saw does not count: budgets go by all of its endpoints. It may be called at any time, and concurrently.
// The maps and what is in them must not be changed afterwards.
func (f *failover) Place(clusters, machines map[string][]string) {
	f.places.Store(&places{clusters, machines})
}

// append adds all subjects that it names, some of them more than once.
func (p *places) append(names []string) []string {
	for _, subjects := range p.clusters {
		names = append(names, subjects...)
	}
	return slices.AppendSeq(names, maps.Keys(p.machines))
}

// place hands the judge what is known now.
func (l *loop) place() {
	if known := l.places.Load(); known != nil {
		l.judge.Place(known.machines)
	}
}

// clusters are those that were told of, and of others what the mesh saw.
func (l *loop) clusters() map[string][]string {
	clusters := l.judge.Clusters()
	if known := l.places.Load(); known != nil {
		maps.Copy(clusters, known.clusters)
	}
	return clusters
}
