package failover

import (
	"maps"
	"slices"
)

// cluster is a set of subjects that serve the same.
type cluster struct {
	name    string
	members []int32 // those that something is known of
	size    int
	rest    bool // an IDC's subjects that are in no other cluster: the IDC's freeze is theirs
	frozen  bool
}

// group finds the clusters of each machine and endpoint. Those of an IDC that are in none are one.
func (d *decider) group() {
	type membership struct{ item, cluster int32 }
	all := make([]membership, 0, len(d.items))
	last := make([]int32, len(d.items)) // the last cluster found of an item, counted from 1
	join := func(i int, n int32) {
		last[i] = n + 1
		all = append(all, membership{int32(i), n})
		d.clusters[n].members = append(d.clusters[n].members, int32(i))
	}
	index := make(map[string]int, len(d.items))
	for i := 0; i < len(d.items) && len(d.in.Clusters) > 0; i++ {
		index[d.items[i].subject] = i
	}
	for _, name := range slices.Sorted(maps.Keys(d.in.Clusters)) {
		n, subjects := int32(len(d.clusters)), d.in.Clusters[name]
		d.clusters = append(d.clusters, cluster{name: name, size: len(subjects), members: make([]int32, 0, len(subjects))})
		for _, subject := range subjects {
			if i, ok := index[subject]; ok && d.items[i].bounded() && last[i] != n+1 {
				join(i, n)
			}
		}
	}
	rest := map[[2]string]int32{}
	for i := range d.items {
		item := &d.items[i]
		if !item.bounded() || last[i] > 0 {
			continue
		}
		key := [2]string{item.kind, item.IDC}
		n, ok := rest[key]
		if !ok {
			n = int32(len(d.clusters))
			rest[key] = n
			d.clusters = append(d.clusters, cluster{name: restName(item), rest: item.IDC != ""})
		}
		d.clusters[n].size++
		join(i, n)
	}
	d.first, d.of = make([]int32, len(d.items)+1), make([]int32, len(all))
	for _, m := range all {
		d.first[m.item+1]++
	}
	for i := range d.items {
		d.first[i+1] += d.first[i]
	}
	at := slices.Clone(d.first)
	for _, m := range all {
		d.of[at[m.item]] = m.cluster
		at[m.item]++
	}
}

// clustersOf are the clusters of an item.
func (d *decider) clustersOf(i int) []int32 { return d.of[d.first[i]:d.first[i+1]] }

// bounded tells whether budgets and freezes are about it.
func (i *item) bounded() bool { return i.kind == kindMachine || i.kind == kindEndpoint }

func restName(i *item) string {
	if i.IDC == "" {
		return "all " + i.kind + "s"
	}
	return i.kind + "s of " + i.IDC
}
