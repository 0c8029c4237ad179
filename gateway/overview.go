package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

const overviewPath = "/api/v1/overview"

// overview is the answer of /api/v1/overview: what all parts of a gateway say at a moment, as far as it is shown. A part that says nothing is nil.
type overview struct {
	At               time.Time
	Version, Gateway string
	Sections         struct {
		Mesh     *meshState
		Nodes    *nodesState
		Failover *failoverState
		DNS      *dnsState
		Probes   *probesState
		Plugins  *pluginsState
		Alerts   []alertState
		Cluster  *clusterState
		XDS      *xdsState
	}
	Missing map[string]string // why, by section

	asked, answered time.Time // by the clock of this machine; zero: nobody noted it
}

type meshState struct {
	Edges []struct {
		Rate, Errors float64
	}
	Funnels []struct {
		IDC  string
		Hops []struct {
			From, To   string
			Depth      int
			Rate       float64
			Drop, Text string
		}
	}
}

// entered is how many requests a second enter each IDC; nil: nothing tells.
func (m *meshState) entered() map[string]float64 {
	if m == nil {
		return nil
	}
	entered, all := map[string]float64{}, 0.
	for _, f := range m.Funnels {
		for _, hop := range f.Hops {
			if hop.Depth == 0 {
				entered[f.IDC] += hop.Rate
				all += hop.Rate
			}
		}
	}
	if all == 0 {
		return nil
	}
	return entered
}

// nodesState tells which Envoys send telemetry.
type nodesState struct {
	Endpoint string
	Entries  uint64 // counted since the gateway began
	Nodes    []struct {
		ID, IDC  string
		ALS      int `json:"als_streams"`
		Stats    int `json:"stats_streams"`
		Hosts    []string
		Coverage *float64 // nil: not known
		Thin     bool     // that is too little
	}
}

// lowest is the lowest coverage, with its node ("": none is known), and whether that is too little.
func (n *nodesState) lowest() (ratio float64, node string, thin bool) {
	for i := range n.Nodes {
		if x := &n.Nodes[i]; x.Coverage != nil && (node == "" || *x.Coverage < ratio) {
			ratio, node, thin = *x.Coverage, x.ID, x.Thin
		}
	}
	return ratio, node, thin
}

type dnsState struct {
	Endpoints []string
	Serial    uint32
	Degraded  bool
	Error     string
	Zones     []struct {
		Zone  string
		NS    map[string][]string // addresses of the name servers within the zone
		Names []struct{ Name string }
	}
}

type probesState struct {
	Targets []struct {
		Name, Subject, Module, Prober, Target, Address string
		Success                                        *bool // nil: nothing is known now
		Error                                          string
		Minutes                                        []struct{} // with results, of the last ten
	}
	Machines struct {
		Total, Answering int
		Down             []struct {
			Name  string
			Since time.Time
			Error string
		}
	}
}

type pluginsState struct{ Plugins []listed }

type alertState struct {
	Labels, Annotations map[string]string
	StartsAt            time.Time
	Status              struct{ State string }
}

// firing tells that nobody has silenced it, and that no other one speaks for it.
func (a *alertState) firing() bool { return a.Status.State != "suppressed" }

func (a *alertState) text() string {
	return a.Labels["alertname"] + ": " + cmp.Or(a.Annotations["summary"], a.Annotations["description"], labelsText(a.Labels))
}

func labelsText(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "alertname" {
			parts = append(parts, name+"="+labels[name])
		}
	}
	return strings.Join(parts, " ")
}

// xdsState tells who takes what from the extension xds.
type xdsState struct {
	Endpoint string
	Streams  int
	Foreign  []struct { // who takes endpoints from here and has the clusters from elsewhere
		Node     string
		Clusters []string
	}
}
