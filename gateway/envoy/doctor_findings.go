package envoy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// What the doctor thinks is too much.
const (
	maxUnknownPeer = .1  // of entries: peers outside the mesh are unknown by nature, as is who would have answered a UH
	maxUnknown     = .01 // of entries: reporter and service can always be told
	maxAhead       = 2 * time.Second
	maxBehind      = time.Minute
)

func (c *checkup) run() {
	c.findings = []finding{}
	c.arrival()
	c.stats()
	c.covered()
	c.identity()
	c.grpc()
	c.clocks()
	c.losses()
	c.stored()
}

// arrival tells from whom access logs come.
func (c *checkup) arrival() {
	senders := c.those(func(n *nodeStatus) bool { return n.ALS > 0 })
	endpoint := c.config.NetAddr.Endpoint
	cure := fmt.Sprintf("put what `lockkeeper snippet envoy --address %s` prints into the Envoys, at an address where they reach this gateway; "+
		"in Envoy's own stats a failing way here is cluster.lockkeeper.upstream_cx_connect_fail", endpoint)
	switch {
	case len(senders) == 0 && c.totals.All.Counted == 0:
		c.add(levelError, "no_als", endpoint, "no Envoy sends access logs", cure)
	case len(senders) == 0:
		c.add(levelError, "no_als", endpoint, fmt.Sprintf("no Envoy sends access logs any more; %d entries had come", c.totals.All.Counted), cure)
	case c.totals.All.Counted == 0:
		c.add(levelWarn, "no_entries", names(senders), "access-log streams are open, but no entry of a finished request has come",
			"send a request through the Envoy; if it still says so: the access log must be on the listener (or http_connection_manager) that takes the requests, and no filter may hold all entries back")
	default:
		c.add(levelOK, "als", "", fmt.Sprintf("access logs come from %s; %d entries were counted", population(senders), c.totals.All.Counted), "")
	}
}

// stats tells from whom Envoy's stats come, without which coverage cannot be told.
func (c *checkup) stats() {
	const cure = "coverage needs both: put the stats sink of `lockkeeper snippet envoy` into the Envoy, and with Istio the proxyStatsMatcher of `lockkeeper snippet istio`"
	senders := c.those(func(n *nodeStatus) bool { return n.Stats > 0 })
	if len(senders) == 0 {
		if len(c.nodes) > 0 {
			c.add(levelWarn, "no_stats", "", "no Envoy sends its stats (the first come some 5 seconds after its start), so lost access logs cannot be told", cure)
		}
		return
	}
	c.add(levelOK, "stats", "", "stats come from "+population(senders), "")
	if c.istio > 0 {
		c.add(levelOK, "istio_stats", "", fmt.Sprintf("%d values of Istio's own istio_* came with the stats and were left out, so that nothing counts twice", c.istio), "")
	}
	if only := c.those(func(n *nodeStatus) bool { return n.Stats == 0 }); len(only) > 0 {
		c.add(levelWarn, "als_without_stats", names(only), "send access logs but no stats, so what is lost of them cannot be told", cure)
	}
	if only := c.those(func(n *nodeStatus) bool { return n.ALS == 0 }); len(only) > 0 {
		c.add(levelWarn, "stats_without_als", names(only), "send stats but no access logs: Envoy opens that stream with the first request, so they have none, or no access log to this gateway",
			"where there is traffic: put the access log of `lockkeeper snippet envoy` into them")
	}
}

// covered tells how much of what the Envoys write arrives.
func (c *checkup) covered() {
	var thin, untold []string
	lowest, known := 1., 0
	for _, n := range c.coverage {
		switch {
		case !n.Known:
			untold = append(untold, n.Node)
			continue
		case n.Ratio < enough:
			thin = append(thin, n.Node)
		}
		known++
		lowest = min(lowest, n.Ratio)
	}
	slices.Sort(thin)
	slices.Sort(untold)
	switch {
	case len(thin) > 0:
		c.add(levelWarn, "coverage_low", few(thin), fmt.Sprintf("lose access logs on the way: of one only %.1f %% arrive", 100*lowest),
			"see in that Envoy's stats whether it reaches this gateway (cluster.NAME.upstream_cx_connect_fail of the access log's cluster) and whether it sends as fast as it writes "+
				"(access_logs.grpc_access_log.logs_dropped: raise buffer_size_bytes); after an outage of the gateway the ratio heals by itself")
	case known > 0:
		c.add(levelOK, "coverage", "", fmt.Sprintf("of %d nodes that tell, at least %.1f %% of the access logs arrive", known, 100*lowest), "")
	}
	if c.those(func(n *nodeStatus) bool { return n.Stats > 0 }) != nil && len(untold) > 0 {
		c.add(levelWarn, "coverage_unknown", few(untold), "do not tell, or not for long enough, how many access logs they write",
			"if it still says so after a minute of traffic: what the Envoy sends must hold the stats access_logs.grpc_access_log.*, "+
				"with Istio by the proxyStatsMatcher of `lockkeeper snippet istio`")
	}
}

// identity tells what of the entries and the nodes is unknown.
func (c *checkup) identity() {
	const peers = "Istio: log the filter state objects upstream_peer and downstream_peer (filter_state_objects_to_log; extensionProviders do so unless they are told otherwise); " +
		"Envoy alone: custom tags %[1]s_app, %[1]s_version … of `lockkeeper snippet envoy`. Callers from outside the mesh, and who would have answered what no host was found for (UH, NR, NC, UO), stay unknown"
	cures := map[string]string{
		"reporter": "give each access log the custom tag reporter: source or destination, as `lockkeeper snippet envoy` does, or set receivers::envoy::reporters: {LOG_NAME: source}",
		"service":  "give the route's access log the custom tag destination_service, or name the clusters outbound|PORT||HOST as Istio does",
		"source":   fmt.Sprintf(peers, "source"), "destination": fmt.Sprintf(peers, "destination"),
		"peer_form": "Istio before 1.24 tells peers by FlatBuffers (filter state wasm.*), which are not read: upgrade Istio, or log the custom tags of `lockkeeper snippet envoy`",
	}
	all := c.totals.All
	for i, what := range mesh.UnknownNames() {
		if what == "idc" {
			continue // of nodes, not of entries: below
		}
		limit := maxUnknown
		if what == "source" || what == "destination" {
			limit = maxUnknownPeer
		}
		if share := float64(all.Unknown[i]) / float64(max(all.Counted, 1)); share > limit {
			c.add(levelWarn, "unknown_"+what, what, fmt.Sprintf("the %s of %.1f %% of all entries could not be told", strings.ReplaceAll(what, "_", "'s "), 100*share), cures[what])
		}
	}
	if nowhere := c.those(func(n *nodeStatus) bool { return n.IDC == mesh.Unknown }); len(nowhere) > 0 {
		c.add(levelWarn, "idc_unknown", names(nowhere), "do not say which IDC they are in",
			"set node.locality.region in Envoy's bootstrap, or say by receivers::envoy::idc which field of the locality or key of the node's metadata has it")
	}
	if shared := c.those(func(n *nodeStatus) bool { return n.shared }); len(shared) > 0 {
		c.add(levelWarn, "shared_id", names(shared), "come from several hosts at once: several Envoys have the same node id, or a balancer stands between",
			"give each Envoy a node id of its own (--service-node)")
	}
}

// grpc tells whether gRPC is taken for HTTP, as it is with Istio's defaults.
func (c *checkup) grpc() {
	const cure = "log the request header content-type, and grpc-status of response headers and of trailers (additional_request_headers_to_log, " +
		"additional_response_headers_to_log, additional_response_trailers_to_log; in Istio's extensionProviders additionalRequestHeadersToLog and so on): " +
		"`lockkeeper snippet envoy` and `lockkeeper snippet istio` have it"
	if nodes := c.sampled(func(s *sample) bool { return s.mayGRPC }); nodes != "" {
		c.add(levelWarn, "grpc_unseen", nodes, "log no content-type and no grpc-status of requests that look like gRPC, so these count as HTTP 200, also when they fail", cure)
	}
	if nodes := c.sampled(func(s *sample) bool { return s.noStatus }); nodes != "" {
		c.add(levelWarn, "grpc_status_unseen", nodes, "log no grpc-status, so failed gRPC requests count as good", cure)
	}
}

// clocks tells whose entries end in the future, or long before they came.
func (c *checkup) clocks() {
	skewed := func(s *sample) bool { return s.skew < -maxAhead || s.skew > maxBehind }
	if nodes := c.sampled(skewed); nodes != "" {
		i := slices.IndexFunc(c.samples, func(s sample) bool { return skewed(&s) })
		by, where := c.samples[i].skew.Round(time.Second), "behind"
		if by < 0 {
			by, where = -by, "ahead of"
		}
		c.add(levelWarn, "clock_skew", nodes, fmt.Sprintf("report requests whose end is %s %s this gateway's clock", by, where),
			"set the clocks (NTP, chrony) of their machines and of this one; if both are right, the entries wait somewhere: see the load of this gateway")
	}
}

// losses tells what the gateway could not count as it is.
func (c *checkup) losses() {
	if n := c.totals.Overflow; n > 0 {
		c.add(levelWarn, "overflow", fmt.Sprintf("series::max %d", c.config.Series.Max), fmt.Sprintf("%d requests were counted as other, because there are too many label sets", n),
			"raise receivers::envoy::series::max, or leave out labels by series::drop_labels")
	}
	if n := c.totals.All.Malformed; n > 0 {
		var of []string
		for _, node := range slices.Sorted(maps.Keys(c.totals.Nodes)) {
			if c.totals.Nodes[node].Malformed > 0 {
				of = append(of, node)
			}
		}
		c.add(levelWarn, "malformed", few(of), fmt.Sprintf("%d entries could not be read and were not counted", n),
			"record what they send (`lockkeeper record -f FILE --node ID`) and report it; a value that is no UTF-8 in a tag or metadata is a likely cause")
	}
	if c.refused > 0 {
		c.add(levelWarn, "refused", "", fmt.Sprintf("%d streams were ended because of what they sent; most often an Envoy without a node id", c.refused),
			"set node.id and node.cluster in Envoy's bootstrap (--service-node, --service-cluster); a proxy between Envoy and gateway must keep streams whole")
	}
}

// stored tells what the storage knows.
func (c *checkup) stored() {
	if c.storage != nil {
		c.add(levelError, "storage", "", "the metric storage cannot be asked: "+c.storage.Error(), "GET /api/v1/plugins says which plugin is down and why; the gateway's log has its last words")
	}
	if c.foreign > 0 && c.config.MetricPrefix == "" {
		c.add(levelWarn, "doubled", "istio_requests_total", fmt.Sprintf("the storage has %.0f series that no gateway counted: Istio's own are scraped as well, and sums over both count each request twice", c.foreign),
			"end the scrape of Istio's istio_* metrics (or drop them by metric_relabel_configs), ask for {gateway!=\"\"}, or set receivers::envoy::metric_prefix")
	}
}

func (c *checkup) those(are func(*nodeStatus) bool) (nodes []nodeStatus) {
	for i := range c.nodes {
		if are(&c.nodes[i]) {
			nodes = append(nodes, c.nodes[i])
		}
	}
	return nodes
}

// sampled names the nodes of which a sample is so.
func (c *checkup) sampled(is func(*sample) bool) string {
	nodes := map[string]struct{}{}
	for i := range c.samples {
		if is(&c.samples[i]) {
			nodes[c.samples[i].node] = struct{}{}
		}
	}
	return few(slices.Sorted(maps.Keys(nodes)))
}

func names(nodes []nodeStatus) string {
	var ids []string
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	return few(ids)
}

// few joins the first names, and says how many more there are.
func few(all []string) string {
	const shown = 5
	if len(all) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	}
	return strings.Join(all, ", ")
}

// population says how many nodes and apps there are, and where.
func population(nodes []nodeStatus) string {
	apps, idcs := map[string]struct{}{}, map[string]int{}
	for _, n := range nodes {
		apps[n.App] = struct{}{}
		idcs[n.IDC]++
	}
	var where []string
	for _, idc := range slices.Sorted(maps.Keys(idcs)) {
		where = append(where, fmt.Sprintf("%s %d", idc, idcs[idc]))
	}
	return fmt.Sprintf("%d nodes of %d apps (%s)", len(nodes), len(apps), strings.Join(where, ", "))
}
