package xds

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// mux is what xds needs of an extension that serves HTTP.
type mux interface {
	Handle(pattern string, handler http.Handler)
}

// What GET /api/v1/xds lists at most.
const (
	mostForeign  = 200
	mostClusters = 20 // of each
)

// foreign is a client that takes endpoints from here, and has the clusters from elsewhere: how it balances between them is said there.
type foreign struct {
	Node     string   `json:"node"`
	Clusters []string `json:"clusters"` // some of them
}

// show serves GET /api/v1/xds: how many streams there are, and whose clusters are foreign.
func (x *xds) show(w http.ResponseWriter, _ *http.Request) {
	streams, list := x.cache.foreign()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails when the client is gone
		"endpoint": x.listener.Addr().String(), "streams": streams, "foreign": list,
	})
}

// foreign are the clients that subscribe to endpoints by name and to no clusters, sorted. A client may have a stream for each type.
func (c *Cache) foreign() (streams int, list []foreign) {
	c.mu.RLock()
	all := slices.Collect(maps.Keys(c.streams))
	c.mu.RUnlock()
	clusters, endpoints := map[string]bool{}, map[string]map[string]bool{}
	for _, st := range all {
		node, takesClusters, names := st.takes()
		clusters[node] = clusters[node] || takesClusters
		if endpoints[node] == nil {
			endpoints[node] = map[string]bool{}
		}
		for _, name := range names {
			endpoints[node][name] = true
		}
	}
	list = []foreign{}
	for _, node := range slices.Sorted(maps.Keys(endpoints)) {
		if names := slices.Sorted(maps.Keys(endpoints[node])); !clusters[node] && len(names) > 0 && len(list) < mostForeign {
			list = append(list, foreign{strings.ToValidUTF8(node, "?"), names[:min(len(names), mostClusters)]})
		}
	}
	return len(all), list
}

// takes tells of whom the stream is, whether it takes clusters, and of which clusters it takes the endpoints by name.
func (st *stream) takes() (node string, clusters bool, endpoints []string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, s := range st.subscriptions {
		switch s.typeURL {
		case ClusterType:
			clusters = true
		case AssignmentType:
			for name := range s.names {
				if len(endpoints) < mostClusters {
					endpoints = append(endpoints, strings.ToValidUTF8(clip(name), "?"))
				}
			}
		}
	}
	return st.node, clusters, endpoints
}
