package envoy

import (
	"cmp"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// enough is the share of entries below which a node's telemetry counts as lost.
const enough = 0.95

// nodeCoverage says how much of what a node writes is received.
type nodeCoverage struct {
	Node, IDC string
	Ratio     float64
	Known     bool // else its stats lack what the ratio needs, or have not told it often enough
}

// health is what is known of a node's telemetry.
type health struct {
	nodeCoverage
	written                  uint64 // as Envoy's stats say
	hasWritten               bool
	received                 uint64
	hasALS, hasStats         bool // has had such a stream
	present                  bool // at least one of the two comes now
	alsLost, statsLost, thin bool // thin: coverage is below enough
	alsKnown                 bool
}

// judge says how the telemetry of each node is. A node of which neither access logs nor stats come is not there any more: a
// proxy that ended takes both with it. One of the two alone is missed.
func (c *coverage) judge(sources map[string]mesh.Source, nodes []stats.NodeStatus, now time.Time) map[string]*health {
	all := make(map[string]*health, len(sources))
	at := func(id, idc string) *health {
		h := all[id]
		if h == nil {
			h = &health{}
			all[id] = h
		}
		h.Node, h.IDC = id, cmp.Or(idc, h.IDC)
		return h
	}
	newest := map[string]stats.NodeStatus{}
	for _, n := range nodes {
		if n.Last.After(newest[n.ID].Last) {
			newest[n.ID] = n
		}
	}
	for id, n := range newest {
		at(id, n.IDC).hasStats = true
	}
	for id, s := range sources {
		h := at(id, s.IDC)
		h.hasALS, h.received = true, s.HTTP+s.TCP
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, h := range all {
		h.judge(sources[id], newest[id], c.nodes[id], now, c.began)
	}
	return all
}

func (h *health) judge(als mesh.Source, n stats.NodeStatus, compared *covered, now, began time.Time) {
	interval, last := n.Interval, n.Last
	if compared != nil {
		samples := compared.Samples
		h.hasWritten, h.written = true, samples[len(samples)-1].Written
		if !h.hasStats { // before a restart of the gateway: they may be about to come
			h.hasStats, last = true, began
			if len(samples) > 1 {
				interval = time.Duration(samples[len(samples)-1].At-samples[len(samples)-2].At) * time.Millisecond
			}
		}
	}
	patience := max(silence, 3*interval)
	h.statsLost = h.hasStats && now.Sub(last) > patience
	statsCome := !h.statsLost && !n.Last.IsZero()
	h.present = als.Streams > 0 || statsCome
	h.alsKnown = h.hasALS
	switch {
	case !statsCome:
	case compared == nil:
		// Nobody says whether there is anything to send. A stream that has gone, though the proxy has not, is missed.
		h.alsLost = h.hasALS && als.Streams == 0 && n.Last.Sub(als.Ended) > patience
	default:
		h.Ratio, h.Known = compared.ratio()
		h.thin = h.Known && h.Ratio < enough
		h.alsKnown = h.hasALS || h.Known
		h.alsLost = compared.silent()
	}
}

// coverages returns the nodes of which something comes now.
func (r *envoyReceiver) coverages(now time.Time) []nodeCoverage {
	var all []nodeCoverage
	for _, h := range r.health(now) {
		if h.present {
			all = append(all, h.nodeCoverage)
		}
	}
	return all
}

func (r *envoyReceiver) health(now time.Time) map[string]*health {
	return r.coverage.judge(r.aggregator.Sources(), r.stats.Nodes(now), now)
}
