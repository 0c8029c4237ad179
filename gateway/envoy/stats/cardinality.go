package stats

import (
	"cmp"
	"slices"
)

// NameCost is what one stat costs, of all nodes and with all its labels.
type NameCost struct {
	Name   string `json:"metric"`
	Series int    `json:"series"` // estimated, as a Prometheus storage counts them: a histogram has one for each bucket, and two more
}

// Costs returns the stats with most series, at most top of them, and how many series there are in all.
func (k *Sink) Costs(top int) (costs []NameCost, total int) {
	k.mu.Lock()
	nodes := k.list()
	k.mu.Unlock()
	series := map[*identity]int{}
	for _, n := range nodes {
		n.mu.Lock()
		for i := range n.series {
			series[n.series[i].identity]++
		}
		n.mu.Unlock()
	}
	names := map[string]int{}
	for i, n := range series {
		if i.hidden {
			continue
		}
		switch bounds := i.shared.Load(); {
		case i.kind != typeHistogram && i.kind != typeSummary:
		case bounds == nil:
			n *= 2
		case i.kind == typeHistogram:
			n *= len(*bounds) + 3
		default:
			n *= len(*bounds) + 2
		}
		names[i.name] += n
		total += n
	}
	for name, n := range names {
		costs = append(costs, NameCost{name, n})
	}
	slices.SortFunc(costs, func(x, y NameCost) int {
		return cmp.Or(cmp.Compare(y.Series, x.Series), cmp.Compare(x.Name, y.Name))
	})
	return costs[:min(top, len(costs))], total
}
