package mesh

import (
	"cmp"
	"slices"
	"time"
	"unique"
)

// Edge is the traffic from one workload to another that one side reported within the window.
type Edge struct {
	Reporter    string            `json:"reporter"`
	IDC         string            `json:"idc"`
	Source      EdgePeer          `json:"source"`
	Destination EdgePeer          `json:"destination"`
	Protocol    string            `json:"protocol"`
	Requests    uint64            `json:"requests"`
	Rate        float64           `json:"rate"` // requests per second
	Errors      uint64            `json:"errors"`
	ErrorShare  float64           `json:"error_share"` // of the requests: no response code, 5xx, gRPC status but OK, or a flag
	Flags       map[string]uint64 `json:"flags"`       // by each single flag
	P50         float64           `json:"p50_ms"`
	P99         float64           `json:"p99_ms"`
}

// EdgePeer is an end of an Edge.
type EdgePeer struct {
	Workload  string `json:"workload"`
	Namespace string `json:"namespace"`
	App       string `json:"app"`
	Version   string `json:"version"`
	Service   string `json:"service,omitempty"` // of the destination
}

const (
	edgeSlots    = 6
	edgeSlotTime = 10 * time.Second

	// EdgeWindow is the time that Edges cover.
	EdgeWindow = edgeSlots * edgeSlotTime
)

type edgeKey struct {
	source, destination unique.Handle[Peer]
	service             unique.Handle[Service]
	idc                 unique.Handle[string]
	reporter            reporter
	protocol            protocol
}

// edge is a ring of the last slots, each valid if its number is recent enough.
type edge struct {
	key   edgeKey
	slots [edgeSlots]edgeSlot
}

type edgeSlot struct {
	number    int64 // time since the epoch in slots
	requests  uint64
	errors    uint64
	durations [bucketCount]uint64
	flags     map[Flags]uint64
}

func slotNumber(at time.Time) int64 { return at.UnixNano() / int64(edgeSlotTime) }

func (e *edge) add(now time.Time, c *counts) {
	number := slotNumber(now)
	slot := &e.slots[number%edgeSlots]
	if slot.number != number {
		*slot = edgeSlot{number: number}
	}
	n := uint64(c.requests)
	slot.requests += n
	if c.key.failure() {
		slot.errors += n
	}
	for i, n := range c.distributions[durations].buckets {
		slot.durations[i] += uint64(n)
	}
	if c.key.flags != 0 {
		if slot.flags == nil {
			slot.flags = map[Flags]uint64{}
		}
		slot.flags[c.key.flags] += n
	}
}

// sum returns the edge as it was over the window before now, or since started. Without requests ok is false.
func (e *edge) sum(now, started time.Time) (sum Edge, ok bool) {
	sum.Flags = map[string]uint64{}
	var durations [bucketCount]uint64
	for _, slot := range e.slots {
		if slot.number <= slotNumber(now)-edgeSlots {
			continue
		}
		sum.Requests += slot.requests
		sum.Errors += slot.errors
		for i, n := range slot.durations {
			durations[i] += n
		}
		for flags, n := range slot.flags {
			for _, name := range flags.Names() {
				sum.Flags[name] += n
			}
		}
	}
	if sum.Requests == 0 {
		return Edge{}, false
	}
	sum.Reporter, sum.IDC, sum.Protocol = e.key.reporter.String(), e.key.idc.Value(), e.key.protocol.String()
	sum.Source, sum.Destination = edgePeer(e.key.source.Value()), edgePeer(e.key.destination.Value())
	sum.Destination.Service = cmp.Or(e.key.service.Value().Host, Unknown)
	sum.Rate = float64(sum.Requests) / max(time.Second, min(EdgeWindow, now.Sub(started))).Seconds()
	sum.ErrorShare = float64(sum.Errors) / float64(sum.Requests)
	sum.P50, sum.P99 = quantile(.5, &durations), quantile(.99, &durations)
	return sum, true
}

func edgePeer(p Peer) EdgePeer {
	return EdgePeer{
		Workload: cmp.Or(p[workload], Unknown), Namespace: cmp.Or(p[namespace], Unknown),
		App: cmp.Or(p[app], Unknown), Version: cmp.Or(p[version], Unknown),
	}
}

// Edges returns the edges with traffic in the window before now, the busiest first.
func (a *Aggregator) Edges(now time.Time) []Edge {
	a.mu.Lock()
	edges := make([]Edge, 0, len(a.edges))
	for _, e := range a.edges {
		if sum, ok := e.sum(now, a.started); ok {
			edges = append(edges, sum)
		}
	}
	a.mu.Unlock()
	slices.SortFunc(edges, func(x, y Edge) int {
		return cmp.Or(cmp.Compare(y.Requests, x.Requests), cmp.Compare(x.Destination.Service, y.Destination.Service),
			cmp.Compare(x.Source.App, y.Source.App), cmp.Compare(x.Destination.Version, y.Destination.Version),
			cmp.Compare(x.IDC, y.IDC), cmp.Compare(x.Reporter, y.Reporter))
	})
	return edges
}
