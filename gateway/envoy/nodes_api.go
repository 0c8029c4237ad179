package envoy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// listNodes serves GET /api/v1/nodes: which Envoys send telemetry, and how much of it arrives; of those that have the words of ?find=. With ?worst=N it
// tells of the N of which least arrives, and how many others there are.
func (r *envoyReceiver) listNodes(w http.ResponseWriter, request *http.Request) {
	query := request.URL.Query()
	worst, err := parseWorst(query)
	if err != nil {
		refuseRequest(w, http.StatusBadRequest, err)
		return
	}
	now, totals := time.Now(), r.aggregator.Totals()
	nodes, rest := worstNodes(r.nodes(now, &totals, r.coverages(now)), query.Get("find"), worst)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client is gone if this fails
		"at": now, "endpoint": r.config.NetAddr.Endpoint, "entries": totals.All.Counted, "nodes": nodes, "nodes_left_out": rest,
	})
}

// parseWorst reads how many are wanted; 0: all.
func parseWorst(query url.Values) (n int, err error) {
	if query.Has("worst") {
		if n, err = strconv.Atoi(query.Get("worst")); err != nil || n < 1 {
			return 0, fmt.Errorf("worst: %q: must be a number from 1", query.Get("worst"))
		}
	}
	return n, nil
}

// worstNodes keeps those that have all words, whatever their case, and of these the worst, in their order.
func worstNodes(nodes []nodeStatus, find string, worst int) (few []nodeStatus, rest int) {
	words := strings.Fields(strings.ToLower(find))
	nodes = slices.DeleteFunc(nodes, func(n nodeStatus) bool {
		text := strings.ToLower(strings.Join([]string{n.ID, n.App, n.Version, n.IDC}, " "))
		return slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
	})
	if worst == 0 || len(nodes) <= worst {
		return nodes, 0
	}
	slices.SortStableFunc(nodes, func(a, b nodeStatus) int { return cmp.Compare(a.arrives(), b.arrives()) })
	few = nodes[:worst]
	slices.SortFunc(few, func(a, b nodeStatus) int { return cmp.Compare(a.ID, b.ID) })
	return few, len(nodes) - worst
}

// arrives is the share of a node's access logs that does; of one that does not tell nothing is known to be missing.
func (n *nodeStatus) arrives() float64 {
	if n.Coverage == nil {
		return 1
	}
	return *n.Coverage
}
