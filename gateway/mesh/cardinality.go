package mesh

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// Cardinality says what the label sets are spent on.
type Cardinality struct {
	Kept           int // label sets
	Max            int
	Overflow       uint64         // requests counted as "other", because Max was reached
	Protocols      map[string]int // label sets by request_protocol
	Labels         []LabelCost    // the dearest first
	Edges          []EdgeCost     // the dearest first
	Authorities    int            // services that are known by their authority alone
	MaxAuthorities int
}

// LabelCost is what one label costs.
type LabelCost struct {
	Label       string `json:"label"`
	Values      int    `json:"values"`       // distinct
	LeftWithout int    `json:"left_without"` // label sets that there would be without it
}

// EdgeCost is how many label sets the traffic from a workload to a service takes.
type EdgeCost struct {
	Source             string `json:"source_workload"`
	SourceNamespace    string `json:"source_workload_namespace"`
	DestinationService string `json:"destination_service"`
	Series             int    `json:"series"`
}

// Cardinality counts the label sets as of now, and names the edges that take most, at most top of them.
func (a *Aggregator) Cardinality(top int) Cardinality {
	a.mu.Lock()
	c := Cardinality{
		Kept: len(a.series), Max: a.options.MaxSeries, Overflow: a.overflow,
		Authorities: a.hosts.count(), MaxAuthorities: maxAuthorities, Protocols: map[string]int{},
	}
	sets := make([][]Label, 0, len(a.series))
	for _, s := range a.series {
		sets = append(sets, s.Labels)
	}
	a.mu.Unlock()

	edges := map[EdgeCost]int{}
	for _, labels := range sets {
		var e EdgeCost
		for _, l := range labels {
			switch l.Name {
			case "source_workload":
				e.Source = l.Value
			case "source_workload_namespace":
				e.SourceNamespace = l.Value
			case "destination_service":
				e.DestinationService = l.Value
			case "request_protocol":
				c.Protocols[l.Value]++
			}
		}
		edges[e]++
	}
	for e, n := range edges {
		e.Series = n
		c.Edges = append(c.Edges, e)
	}
	slices.SortFunc(c.Edges, func(x, y EdgeCost) int {
		return cmp.Or(cmp.Compare(y.Series, x.Series), cmp.Compare(x.DestinationService, y.DestinationService),
			cmp.Compare(x.Source, y.Source), cmp.Compare(x.SourceNamespace, y.SourceNamespace))
	})
	c.Edges = slices.Clip(c.Edges[:min(top, len(c.Edges))])
	c.Labels = labelCosts(sets)
	return c
}

// labelCosts finds what is left without each label. The hash of a set is the sum of its labels' hashes, so that a label can be
// taken out of it.
func labelCosts(sets [][]Label) []LabelCost {
	seed := maphash.MakeSeed()
	sums, names := make([]uint64, len(sets)), map[string]struct{}{}
	for i, labels := range sets {
		for _, l := range labels {
			sums[i] += maphash.Comparable(seed, l)
			names[l.Name] = struct{}{}
		}
	}
	costs := make([]LabelCost, 0, len(names))
	values, left := map[string]struct{}{}, make(map[uint64]struct{}, len(sets))
	for name := range names {
		clear(values)
		clear(left)
		for i, labels := range sets {
			sum := sums[i]
			if at := slices.IndexFunc(labels, func(l Label) bool { return l.Name == name }); at >= 0 {
				values[labels[at].Value] = struct{}{}
				sum -= maphash.Comparable(seed, labels[at])
			}
			left[sum] = struct{}{}
		}
		costs = append(costs, LabelCost{name, len(values), len(left)})
	}
	slices.SortFunc(costs, func(x, y LabelCost) int {
		return cmp.Or(cmp.Compare(x.LeftWithout, y.LeftWithout), cmp.Compare(y.Values, x.Values), cmp.Compare(x.Label, y.Label))
	})
	return costs
}
