package mesh

import "time"

// Flush merges all streams and hands the series that changed or are due to export, in batches that weigh at most maxWeight by
// weight (each at least one series). The batch is only valid during the call. Series of a batch for which export failed come
// again with the next flush. Flush returns the first error. One Flush at a time.
func (a *Aggregator) Flush(now time.Time, maxWeight int, weight func(*Series) int, export func([]Series) error) error {
	a.mergeStreams(now)
	a.mu.Lock()
	due := make([]*series, 0, len(a.series))
	for _, s := range a.series {
		if s.changed || now.Sub(s.exported) >= a.options.Refresh {
			due = append(due, s)
		}
	}
	a.lastFlush = now
	a.mu.Unlock()

	var first error
	var batch []Series
	for len(due) > 0 {
		n, sum := 0, 0
		for n < len(due) {
			if sum += weight(&due[n].Series); n > 0 && sum > maxWeight {
				break
			}
			n++
		}
		batch = a.snapshot(batch[:0], due[:n])
		err := export(batch)
		a.exported(due[:n], now, err == nil)
		if first == nil {
			first = err
		}
		due = due[n:]
	}
	if now.Sub(a.swept) >= time.Minute {
		a.sweep(now)
	}
	return first
}

func (a *Aggregator) mergeStreams(now time.Time) {
	a.mu.Lock()
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

func (a *Aggregator) snapshot(batch []Series, of []*series) []Series {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range of {
		batch = append(batch, s.Series)
		s.changed = false
	}
	return batch
}

func (a *Aggregator) exported(of []*series, now time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range of {
		if ok {
			s.exported, s.New = now, false
		} else {
			s.changed = true // comes again
		}
	}
}

// sweep drops what was not needed for a while: idle series, their edges and authorities, old addresses, and what the
// streams remember of these.
func (a *Aggregator) sweep(now time.Time) {
	a.mu.Lock()
	streams := a.openStreams()
	a.mu.Unlock()
	for _, s := range streams {
		s.mu.Lock()
		s.merge()
		clear(s.series)
		clear(s.learned)
		s.mu.Unlock()
	}
	since := now.Add(-a.options.Idle)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.swept = now
	edges, authorities := map[edgeKey]*edge{}, map[string]struct{}{}
	for k, s := range a.series {
		if s.hit.Before(since) && !s.changed {
			delete(a.series, k)
			continue
		}
		edges[s.edge.key] = s.edge
		if host := k.service.Value().Host; host != "" {
			if _, ok := a.authorities[host]; ok {
				authorities[host] = struct{}{}
			}
		}
	}
	a.edges, a.authorities = edges, authorities
	for node, stats := range a.closed {
		if stats.at.Before(since) && a.open[node] == 0 {
			a.gone.add(&stats.Stats)
			delete(a.closed, node)
		}
	}
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

	Untracked uint64 // intermediate TCP entries that wait for the end of their connection to be counted
}

// Totals returns the figures as of now.
func (a *Aggregator) Totals() Totals {
	a.mu.Lock()
	t := Totals{Nodes: make(map[string]Stats, len(a.open)), Streams: len(a.streams), Series: len(a.series), Overflow: a.overflow, All: a.gone, Untracked: a.connections.skipped()}
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
