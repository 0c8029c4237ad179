package mesh

import (
	"cmp"
	"container/list"
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
	ErrorShare  float64           `json:"error_share"`    // of the requests: no response code, 5xx, gRPC status but OK, or a flag
	Flags       map[string]uint64 `json:"flags"`          // by each single flag
	Loss        *float64          `json:"loss,omitempty"` // share of what the source sent and the destination did not receive
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

// edgeKey is as fine as an Edge shows: peers have no other attributes.
type edgeKey struct {
	source, destination unique.Handle[Peer]
	service             string
	idc                 unique.Handle[string]
	reporter            reporter
	protocol            protocol
}

// labels are those of lockkeeper_response_flags_total, but for the flag.
func (k *edgeKey) labels() []Label {
	source, destination := edgePeer(k.source.Value()), edgePeer(k.destination.Value())
	return []Label{
		{"reporter", k.reporter.String()},
		{"idc", k.idc.Value()},
		{"source_workload", source.Workload},
		{"source_workload_namespace", source.Namespace},
		{"source_app", source.App},
		{"source_version", source.Version},
		{"destination_workload", destination.Workload},
		{"destination_workload_namespace", destination.Namespace},
		{"destination_app", destination.App},
		{"destination_version", destination.Version},
		{"destination_service", cmp.Or(k.service, Unknown)},
		{"request_protocol", k.protocol.String()},
	}
}

// edge is a ring of the last slots, each valid if its number is recent enough.
type edge struct {
	key   edgeKey
	other bool // of all that found no room
	hit   time.Time
	slots [edgeSlots]edgeSlot
	history
	flags map[int]*counter               // by bit
	hops  map[unique.Handle[string]]*hop // by the IDC of the other end

	failures []failure     // the newest last
	failing  *list.Element // in the aggregator's failures; nil: there are none
}

// edgeOf finds or makes the edge of a key. a.mu is held.
func (a *Aggregator) edgeOf(k *key) *edge {
	id := edgeKey{a.endOf(k.source), a.endOf(k.destination), k.service.Value().Host, k.idc, k.reporter, k.protocol}
	e := a.edges[id]
	switch {
	case e != nil:
		return e
	case len(a.edges) >= a.options.MaxSeries:
		return a.otherEdge(id)
	}
	e = &edge{key: id, history: history{last: minuteNumber(a.merged)}}
	a.edges[id] = e
	return e
}

// otherEdge is the edge of what has no room; it keeps reporter and protocol.
func (a *Aggregator) otherEdge(k edgeKey) *edge {
	end := unique.Make(Peer{workload: Other, namespace: Other, app: Other, version: Other})
	k.source, k.destination, k.service, k.idc = end, end, Other, a.otherText
	e := a.edges[k]
	if e == nil {
		e = &edge{key: k, other: true, history: history{last: minuteNumber(a.merged)}}
		a.edges[k] = e
	}
	return e
}

// endOf is a peer as an edge shows it.
func (a *Aggregator) endOf(p unique.Handle[Peer]) unique.Handle[Peer] {
	end, ok := a.ends[p]
	if !ok {
		if len(a.ends) >= a.options.MaxSeries {
			clear(a.ends)
		}
		of := p.Value()
		end = unique.Make(Peer{workload: of[workload], namespace: of[namespace], app: of[app], version: of[version]})
		a.ends[p] = end
	}
	return end
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
	e.hit = now
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

// window is what an edge was in the slots that count now.
type window struct {
	requests, errors uint64
	unreached        uint64 // of the requests: they did not get to the destination
	durations        [bucketCount]uint64
	flags            map[string]uint64 // by each single flag
}

// add makes w the sum of two windows.
func (w *window) add(o *window) {
	w.requests, w.errors, w.unreached = w.requests+o.requests, w.errors+o.errors, w.unreached+o.unreached
	for i, n := range o.durations {
		w.durations[i] += n
	}
	for flag, n := range o.flags {
		w.flags[flag] += n
	}
}

func (e *edge) window(now time.Time) (w window) {
	w.flags = map[string]uint64{}
	for i := range e.slots {
		slot := &e.slots[i]
		if slot.number <= slotNumber(now)-edgeSlots {
			continue
		}
		w.requests += slot.requests
		w.errors += slot.errors
		for i, n := range slot.durations {
			w.durations[i] += n
		}
		for flags, n := range slot.flags {
			for _, name := range flags.Names() {
				w.flags[name] += n
			}
			if flags.unreached() {
				w.unreached += n
			}
		}
	}
	return w
}

// sum returns the edge as it was over the window before now, or since started. Without requests ok is false.
func (e *edge) sum(now, started time.Time) (sum Edge, ok bool) {
	w := e.window(now)
	if w.requests == 0 {
		return Edge{}, false
	}
	sum.Requests, sum.Errors, sum.Flags = w.requests, w.errors, w.flags
	sum.Reporter, sum.IDC, sum.Protocol = e.key.reporter.String(), e.key.idc.Value(), e.key.protocol.String()
	sum.Source, sum.Destination = edgePeer(e.key.source.Value()), edgePeer(e.key.destination.Value())
	sum.Destination.Service = cmp.Or(e.key.service, Unknown)
	sum.Rate = float64(sum.Requests) / max(time.Second, min(EdgeWindow, now.Sub(started))).Seconds()
	sum.ErrorShare = float64(sum.Errors) / float64(sum.Requests)
	sum.Loss = e.lossOf(now)
	sum.P50, sum.P99 = quantile(.5, &w.durations), quantile(.99, &w.durations)
	return sum, true
}

// sweepEdges forgets the edges without traffic, once their counters are gone.
func (a *Aggregator) sweepEdges(since time.Time) {
	clear(a.ends)
	for k, e := range a.edges {
		for bit, c := range e.flags {
			if c.gone {
				delete(e.flags, bit)
			}
		}
		if e.hit.Before(since) && len(e.flags) == 0 {
			a.failures.forget(e)
			delete(a.edges, k)
		}
	}
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
