package mesh

import (
	"hash/maphash"
	"slices"
	"unique"
)

// maxFound bounds what leads to series, in their number: with labels dropped, any number of keys leads to one series.
const maxFound = 4

// DroppableLabels are the labels that series may be counted without.
func DroppableLabels() []string {
	k := key{
		source: unique.Make(Peer{}), destination: unique.Make(Peer{}), service: unique.Make(Service{}),
		sourcePrincipal: unique.Make(""), destinationPrincipal: unique.Make(""), idc: unique.Make(""),
	}
	var names []string
	for _, l := range k.labels() {
		if l.Name != "reporter" && l.Name != "idc" {
			names = append(names, l.Name)
		}
	}
	return names
}

// seriesOf finds or makes the series that c belongs to. Beyond the bound that is "other". a.mu is held.
func (a *Aggregator) seriesOf(c *counts) *series {
	k := c.key
	k.far = unique.Handle[string]{} // no label
	if s := a.found[k]; s != nil {
		return s
	}
	labels, id := a.labels(&k)
	s := a.series[id]
	other := s == nil && len(a.series) >= a.options.MaxSeries
	if other {
		a.overflow += uint64(c.requests)
		k = a.overflowKey(k)
		labels, id = a.labels(&k)
		s = a.series[id]
	}
	if s == nil {
		s = &series{Series: Series{Labels: labels, Start: a.lastFlush, TCP: k.protocol == protocolTCP}, id: id, key: k, kept: kept{first: true}}
		a.series[id] = s
	}
	if !other && len(a.found) < maxFound*a.options.MaxSeries {
		a.found[k] = s
	}
	return s
}

// labels are those of k that are not dropped, and their hash.
func (a *Aggregator) labels(k *key) (labels []Label, hash uint64) {
	labels = slices.DeleteFunc(k.labels(), func(l Label) bool { return a.dropped[l.Name] })
	var h maphash.Hash
	h.SetSeed(a.secret.long)
	for _, l := range labels {
		_, _ = h.WriteString(l.Name)
		_ = h.WriteByte(0)
		_, _ = h.WriteString(l.Value)
		_ = h.WriteByte(0)
	}
	return labels, h.Sum64()
}

// overflowKey is the series "other": it keeps reporter, response code and flags while these stay few.
func (a *Aggregator) overflowKey(k key) key {
	peer := Peer{Other, Other, Other, Other, Other, Other, Other, Other}
	other := key{
		source: unique.Make(peer), destination: unique.Make(peer), service: a.otherService, idc: a.otherText,
		sourcePrincipal: a.otherText, destinationPrincipal: a.otherText, grpc: noGRPCStatus,
	}
	if k.protocol == protocolTCP { // other metrics than those of requests
		other.protocol = protocolTCP
	}
	if len(a.series) < a.options.MaxSeries+1000 {
		other.reporter, other.code, other.flags = k.reporter, k.code, k.flags
	}
	return other
}
