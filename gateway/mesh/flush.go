package mesh

import "time"

// Flush merges all streams and exports the series and counters that changed, are due, or have ended. It returns the first error. One Flush at
// a time.
func (a *Aggregator) Flush(now time.Time, to Exporter) error {
	a.mergeStreams(now)
	a.mu.Lock()
	dueSeries := make([]*series, 0, len(a.series))
	for _, s := range a.series {
		if s.due(now, a.options.Refresh) {
			dueSeries = append(dueSeries, s)
		}
	}
	a.measureLoss(now)
	var dueCounters []*counter
	for c := range a.counters {
		if c.due(now, a.options.Refresh) {
			dueCounters = append(dueCounters, c)
		}
	}
	a.lastFlush = now
	a.mu.Unlock()

	err := export(a, now, dueSeries, to.MaxWeight, to.SeriesWeight, to.Series)
	if other := export(a, now, dueCounters, to.MaxWeight, to.CounterWeight, to.Counters); err == nil {
		err = other
	}
	if now.Sub(a.swept) >= time.Minute {
		a.sweep(now)
	}
	return err
}

func (a *Aggregator) mergeStreams(now time.Time) {
	a.mu.Lock()
	a.endMinute(now)
	a.merged = now
	a.connections.tick(now)
	streams := a.openStreams()
	a.mu.Unlock()
	for _, s := range streams {
		s.mu.Lock()
		s.merge()
		s.mu.Unlock()
	}
}

func (a *Aggregator) openStreams() []*Stream {
	streams := make([]*Stream, 0, len(a.streams))
	for s := range a.streams {
		streams = append(streams, s)
	}
	return streams
}

// sweep ends and drops what was not needed for a while: idle series, their edges and authorities, old addresses, and what the
// streams remember of these.
func (a *Aggregator) sweep(now time.Time) {
	a.mu.Lock()
	streams := a.openStreams()
	a.mu.Unlock()
	for _, s := range streams {
		s.mu.Lock()
		s.merge()
		// A stream that is idle holds nothing, and the hosts of its services are to be asked for again.
		s.series.clear()
		s.learned.clear()
		s.services.clear()
		s.fars.clear()
		s.dirty = nil
		s.mu.Unlock()
	}
	since := now.Add(-a.options.Idle)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.swept = now
	used := map[string]struct{}{}
	a.found = map[key]*series{}
	for _, s := range a.series {
		if s.idle(since) {
			s.ended = true
			continue
		}
		used[s.key.service.Value().Host] = struct{}{}
	}
	a.hosts.keep(used)
	a.sweepCounters(since)
	a.sweepEdges(since)
	a.sweepEndpoints()
	a.sweepHops(since)
	for node, stats := range a.closed {
		if stats.at.Before(since) && a.open[node] == 0 {
			a.gone.add(&stats.Stats)
			delete(a.closed, node)
		}
	}
	a.forgetSources(since)
	a.addresses.expire(since, a.open)
	a.connections.expire(now)
}

// Totals are the figures of an Aggregator since it began.
type Totals struct {
	All      Stats
	Nodes    map[string]Stats // by node id, without nodes that have been gone for the idle time
	Streams  int              // open
	Series   int
	Overflow uint64 // requests and connections that were counted as "other"

	Endpoints        int    // label sets of lockkeeper_endpoint_requests_total
	EndpointOverflow uint64 // tries that were counted as "other"
	FlagOverflow     uint64 // flags that were counted as those of "other"
	HopOverflow      uint64 // requests, tries and connections that are left out of lockkeeper_edge_sent_total and its like

	IngressUntrusted uint64 // streams of an ingress that Entered leaves out: they are not trusted
	IngressUnplaced  uint64 // likewise: they do not tell their IDC

	TriesUntrusted uint64 // streams that Tried leaves out: they are not trusted
	TriesFull      uint64 // tries that it leaves out: there are too many endpoints

	Untracked uint64 // intermediate TCP entries that wait for the end of their connection to be counted
}

// Totals returns the figures as of now.
func (a *Aggregator) Totals() Totals {
	a.mu.Lock()
	t := Totals{Nodes: make(map[string]Stats, len(a.open)), Streams: len(a.streams), Series: len(a.series), Overflow: a.overflow, All: a.gone, Untracked: a.connections.skipped()}
	t.HopOverflow = a.hopOverflow
	t.TriesUntrusted, t.TriesFull = a.triesUntrusted, a.triesFull.Load()
	t.IngressUntrusted, t.IngressUnplaced = a.ingressUntrusted, a.ingressUnplaced
	t.Endpoints, t.EndpointOverflow, t.FlagOverflow = len(a.endpoints), a.endpointOverflow, a.flagOverflow
	for node, stats := range a.closed {
		t.Nodes[node] = stats.Stats
	}
	streams := a.openStreams()
	a.mu.Unlock()
	for _, s := range streams {
		s.mu.Lock()
		stats := t.Nodes[s.node.ID]
		stats.add(&s.stats)
		t.Nodes[s.node.ID] = stats
		s.mu.Unlock()
	}
	for _, stats := range t.Nodes {
		t.All.add(&stats)
	}
	return t
}
