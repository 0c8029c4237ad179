package mesh

import (
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// Options of an Aggregator. Zero fields mean the defaults given.
type Options struct {
	MaxSeries int               // label sets kept; what is beyond is counted as "other" (20,000)
	Idle      time.Duration     // a series without requests for so long is dropped (15 minutes)
	Refresh   time.Duration     // an unchanged series is due again after so long (1 minute)
	Drop      []string          // labels that series are counted without, out of DroppableLabels
	Reporters map[string]string // log name to "source" or "destination", for Envoys that tell neither otherwise

	// Ingress names the Envoys through which traffic enters an IDC, by log name, workload (WORKLOAD_NAME, or the node's cluster) or app. Without
	// names they are Istio's gateways: nodes whose id begins with router~.
	Ingress []string
}

// Aggregator sums what the streams count. All methods may be called concurrently, but only one Flush at a time.
type Aggregator struct {
	options        Options
	bounds         [bucketCount - 1]float64
	secret         secret
	addresses      addresses
	connections    connections
	hosts          hosts
	started        time.Time
	otherText      unique.Handle[string]
	otherService   unique.Handle[Service]
	unknownService unique.Handle[Service]
	dropped        map[string]bool
	observer       atomic.Pointer[Observer]
	failures       failures

	mu       sync.Mutex
	streams  map[*Stream]struct{}
	open     map[string]int     // streams by node id
	series   map[uint64]*series // by hash of the labels, which are what tells series apart
	found    map[key]*series    // since the last sweep, by what led to them
	edges    map[edgeKey]*edge
	ends     map[unique.Handle[Peer]]unique.Handle[Peer]
	sources  map[string]*source     // by node id
	closed   map[string]closedStats // of ended streams, by node id
	gone     Stats                  // of nodes no longer in closed
	overflow uint64

	counters         map[*counter]struct{} // all that are exported
	endpoints        map[endpointKey]*counter
	endpointFailures map[endpointKey]*counter
	endpointOverflow uint64
	flagCounters     int
	flagOverflow     uint64
	hops             map[hopKey]*hop
	hopOverflow      uint64
	watchesIngress   bool                // somebody asks for Entered
	entered          map[string]*Entered // by streams that ended since the last Entered

	ingressUntrusted, ingressUnplaced uint64

	watchesEndpoints, responsesFail bool                     // see WatchEndpoints
	tried                           map[endpointAt]*gathered // by streams that ended since the last Tried
	triesUntrusted                  uint64
	triesFull                       atomic.Uint64

	lastFlush time.Time // when the last flush exported
	merged    time.Time // when the last flush began to merge
	swept     time.Time
}

// New returns an empty Aggregator; now is the zero of the first series.
func New(o Options, now time.Time) *Aggregator {
	if o.MaxSeries == 0 {
		o.MaxSeries = 20000
	}
	if o.Idle == 0 {
		o.Idle = 15 * time.Minute
	}
	if o.Refresh == 0 {
		o.Refresh = time.Minute
	}
	drop := map[string]bool{}
	for _, name := range o.Drop {
		drop[name] = true
	}
	return &Aggregator{
		dropped: drop, options: o, bounds: Bounds(), secret: newSecret(), started: now, lastFlush: now, swept: now, merged: now,
		addresses:      addresses{known: map[place]resident{}, max: 4 * o.MaxSeries},
		connections:    connections{known: map[uint64]connection{}, max: maxConnections, now: now},
		hosts:          hosts{named: map[string]struct{}{}, authorities: map[string]struct{}{}, max: o.MaxSeries},
		otherText:      unique.Make(Other),
		otherService:   unique.Make(Service{Host: Other, Name: Other, Namespace: Other}),
		unknownService: unique.Make(Service{}),
		streams:        map[*Stream]struct{}{}, open: map[string]int{}, series: map[uint64]*series{}, found: map[key]*series{}, edges: map[edgeKey]*edge{},
		ends:    map[unique.Handle[Peer]]unique.Handle[Peer]{},
		sources: map[string]*source{}, closed: map[string]closedStats{},
		counters: map[*counter]struct{}{}, hops: map[hopKey]*hop{}, endpoints: map[endpointKey]*counter{}, endpointFailures: map[endpointKey]*counter{},
	}
}

// Open starts to read a stream of node n. Close must follow.
func (a *Aggregator) Open(n Node) *Stream {
	s := &Stream{
		aggregator: a, secret: a.secret, node: n, own: unique.Make(n.peer), idc: unique.Make(n.IDC),
	}
	s.unknown.peer, s.unknown.principal = unique.Make(Peer{}), unique.Make(Unknown)
	s.self, s.nobody = s.partyOf(s.own), s.partyOf(s.unknown.peer)
	for i, v := range n.peer {
		s.ownRaw[i] = []byte(v)
	}
	s.reporter = parseReporter(a.options.Reporters[n.LogName])
	if s.reporter == reporterUnknown {
		switch n.kind() {
		case "router":
			s.reporter = reporterSource
		case "waypoint":
			s.reporter = reporterWaypoint
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams[s] = struct{}{}
	a.open[n.ID]++
	s.source = a.openSource(&n)
	a.openIngress(s)
	a.openEndpoints(s)
	a.addresses.learnNode(&s.node, s.own, s.idc, a.open)
	return s
}

// closedStats are those of a node's ended streams, the last of which ended at about at.
type closedStats struct {
	Stats
	at time.Time
}

// Close merges what is left of the stream. Add must not be called afterwards.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merge()
	a := s.aggregator
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.streams, s)
	if a.open[s.node.ID]--; a.open[s.node.ID] == 0 {
		delete(a.open, s.node.ID)
	}
	if s.ingress != nil {
		a.entered = s.takeIngress(a.entered)
	}
	if s.endpoints != nil {
		c := collected{of: a.tried, full: &a.triesFull}
		c.take(s)
		a.tried = c.of
	}
	s.source.streams--
	s.source.ended = a.merged
	stats := a.closed[s.node.ID]
	stats.add(&s.stats)
	stats.at = a.merged
	a.closed[s.node.ID] = stats
}

// merge adds counts to the series they belong to, which it makes if need be.
func (a *Aggregator) merge(dirty []*counts) {
	if len(dirty) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range dirty {
		e, s := a.edgeOf(&c.key), a.seriesOf(c)
		s.touch(a.merged, true)
		e.add(a.merged, c)
		a.addFlags(e, c.key.flags, uint64(c.requests))
		a.addHop(e, c)
		if len(c.failed) > 0 {
			a.takeFailures(e, c)
		}
		s.merge(c)
	}
}
