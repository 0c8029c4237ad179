package mesh

import (
	"cmp"
	"maps"
	"math/bits"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unique"
)

// Bounds of what is told of endpoints.
const (
	maxStreamEndpoints = 4096  // by cluster and address, that a stream has between two calls of Tried
	maxTried           = 16384 // likewise all streams
	maxTriedCallers    = 32    // of a cluster: the busiest
)

// Tried is what became of the tries at one endpoint of one cluster, as those streams say that are trusted.
type Tried struct {
	Address, Cluster string
	IDC              string // of the node at the address; empty: not known
	Requests         uint64
	Failures         uint64
	Flags            map[string]uint64 // failures by each single flag; 5xx, grpc and "no response" where there is none
	Callers          map[string]uint64 // tries by caller: the busiest of the cluster
	Failing          map[string]uint64 // failures likewise
	Succeeded        time.Time         // when the last success ended; zero: none did
	Began            time.Time         // when the newest try began
}

// endpoints is what a stream has counted since the last call of Tried.
type endpoints struct {
	strict bool
	tries  table[*endpointTries] // by hash of the address as it came and the cluster
	dirty  []*endpointTries
	full   uint64 // tries that there was no room for
}

type endpointTries struct {
	requests  uint64 // these three are written by each success, and so come first
	succeeded int64  // nanoseconds since the epoch
	began     int64  // likewise
	failures  uint64
	address   string // ip:port
	ip        string
	cluster   string
	flags     map[string]uint64
}

// upstreamFlags are those that speak of the endpoint that was tried: UT, LR, UR, UF, UC and UPE. Others are Envoy's own doing (UO, UH, NR), the client's
// or somebody else's.
const upstreamFlags Flags = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<24

// WatchEndpoints has the tries counted for Tried, of the streams that are opened from now on and are trusted. Without responses a response of the
// endpoint, 5xx or a gRPC status of that kind, is a success: it answered.
func (a *Aggregator) WatchEndpoints(responses bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchesEndpoints, a.responsesFail = true, responses
}

// openEndpoints makes a stream one whose tries are told. One that is not trusted is counted instead. a.mu is held.
func (a *Aggregator) openEndpoints(s *Stream) {
	switch {
	case !a.watchesEndpoints:
	case !s.node.Trusted:
		a.triesUntrusted++
	default:
		s.endpoints = &endpoints{strict: a.responsesFail}
	}
}

// tell counts a try: an UpstreamEnd entry, or of nodes that send none the final entry, which names the last endpoint that was tried. Of connections
// there are only final ones. s.mu is held.
func (s *Stream) tell(k *key, e *entry, tries bool) {
	if k.reporter == reporterDestination || len(e.later.upstream) == 0 || len(e.cluster) == 0 {
		return // what is behind a sidecar is its own application
	}
	if known := s.source.tells.Load(); tries && !known {
		s.source.tells.Store(true)
	} else if known && !tries && k.protocol != protocolTCP {
		return
	}
	t := s.triesAt(e)
	if t == nil {
		return
	}
	if t.requests == 0 {
		s.endpoints.dirty = append(s.endpoints.dirty, t)
	}
	t.requests++
	if began := e.start.seconds*int64(time.Second) + int64(e.start.nanos); began > t.began {
		t.began = began
	}
	if !s.endpoints.fails(k) {
		if end := e.end(); end > t.succeeded {
			t.succeeded = end
		}
		return
	}
	t.fail(k)
}

// triesAt finds or makes the counts of the entry's endpoint; nil: there is no room, or it is no address of a socket.
func (s *Stream) triesAt(e *entry) *endpointTries {
	hash := s.upstreamHash(e) ^ bits.RotateLeft64(s.clusterHash(e), 32)
	t, ok := s.endpoints.tries.get(hash)
	if ok {
		return t
	}
	if s.endpoints.tries.used >= maxStreamEndpoints {
		s.endpoints.full++
		return nil
	}
	cluster := string(e.cluster)
	if !e.readUpstream() || !e.upstream.socket || !validIP(e.upstream.ip) || !validLabel(cluster) {
		return nil
	}
	t = &endpointTries{address: net.JoinHostPort(string(e.upstream.ip), strconv.FormatUint(uint64(e.upstream.port), 10)), ip: string(e.upstream.ip), cluster: cluster, flags: map[string]uint64{}}
	s.endpoints.tries.put(maxStreamEndpoints, hash, t)
	return t
}

// clusterHash is of the entry's cluster.
func (s *Stream) clusterHash(e *entry) uint64 {
	if e.clusterHash == 0 {
		e.clusterHash = s.secret.hash(e.cluster)
	}
	return e.clusterHash
}

// fails tells whether a try failed by what it was tried at.
func (t *endpoints) fails(k *key) bool {
	if k.flags == 0 && k.code-1 < 499 && k.grpc <= 0 {
		return false // as most
	}
	if k.flags&upstreamFlags != 0 {
		return true
	}
	if k.protocol == protocolTCP {
		return false
	}
	return k.code == 0 || t.strict && (k.code >= 500 || serverStatus(k.grpc))
}

// serverStatus tells whether a gRPC status is the server's failure: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
func serverStatus(status int8) bool {
	return status == 2 || status == 4 || status >= 13 && status <= 15
}

func (t *endpointTries) fail(k *key) {
	t.failures++
	for _, name := range (k.flags & upstreamFlags).Names() {
		t.flags[name]++
	}
	switch {
	case k.flags&upstreamFlags != 0:
	case k.code >= 500:
		t.flags["5xx"]++
	case serverStatus(k.grpc):
		t.flags["grpc"]++
	default:
		t.flags["no response"]++
	}
}

// end is when the request ended, in nanoseconds since the epoch; when it began if its duration is not told.
func (e *entry) end() int64 {
	d := e.duration
	if !d.set {
		d = e.lastTx
	}
	return (e.start.seconds+d.seconds)*int64(time.Second) + int64(e.start.nanos) + int64(d.nanos)
}

// Tried returns what was tried since it was called last, as of now, in order of clusters and addresses. It is for one caller.
func (a *Aggregator) Tried(now time.Time) []Tried {
	a.mu.Lock()
	c := collected{of: a.tried, full: &a.triesFull}
	a.tried = nil
	streams := a.openStreams()
	a.mu.Unlock()
	for _, s := range streams {
		if s.endpoints != nil {
			s.mu.Lock()
			c.take(s)
			s.mu.Unlock()
		}
	}
	tried := make([]Tried, 0, len(c.of))
	for _, t := range c.of {
		t.Succeeded, t.Began = past(t.Succeeded, now), past(t.Began, now)
		if idc := a.addresses.idc([]byte(t.ip)); idc != (unique.Handle[string]{}) && idc.Value() != Unknown {
			t.IDC = idc.Value()
		}
		tried = append(tried, t.Tried)
	}
	slices.SortFunc(tried, func(x, y Tried) int {
		return cmp.Or(cmp.Compare(x.Cluster, y.Cluster), cmp.Compare(x.Address, y.Address))
	})
	for from, to := 0, 0; from < len(tried); from = to {
		for to = from; to < len(tried) && tried[to].Cluster == tried[from].Cluster; to++ {
		}
		keepBusiest(tried[from:to])
	}
	return tried
}

type endpointAt struct{ cluster, address string }

// gathered is a Tried in the making.
type gathered struct {
	Tried
	ip string
}

// collected is what all streams have counted.
type collected struct {
	of   map[endpointAt]*gathered
	full *atomic.Uint64
}

// take adds what a stream has counted, and resets that. s.mu is held.
func (c *collected) take(s *Stream) {
	from, caller := s.endpoints, cmp.Or(s.node.Caller, s.node.ID)
	if c.of == nil {
		c.of = map[endpointAt]*gathered{}
	}
	for _, t := range from.dirty {
		at := endpointAt{t.cluster, t.address}
		to := c.of[at]
		switch {
		case to == nil && len(c.of) >= maxTried:
			from.full += t.requests
		case to == nil:
			to = &gathered{ip: t.ip, Tried: Tried{
				Address: t.address, Cluster: t.cluster, Flags: map[string]uint64{}, Callers: map[string]uint64{}, Failing: map[string]uint64{},
			}}
			c.of[at] = to
			fallthrough
		default:
			to.add(caller, t)
		}
		t.requests, t.failures, t.succeeded, t.began = 0, 0, 0, 0
		clear(t.flags)
	}
	clear(from.dirty)
	from.dirty = from.dirty[:0]
	c.full.Add(from.full)
	if from.full > 0 || from.tries.used >= maxStreamEndpoints {
		from.tries.clear()
	}
	from.full = 0
}

func (g *gathered) add(caller string, t *endpointTries) {
	g.Requests += t.requests
	g.Failures += t.failures
	g.Callers[caller] += t.requests
	if t.failures > 0 {
		g.Failing[caller] += t.failures
	}
	for flag, n := range t.flags {
		g.Flags[flag] += n
	}
	if at := time.Unix(0, t.succeeded); t.succeeded > 0 && at.After(g.Succeeded) {
		g.Succeeded = at
	}
	if at := time.Unix(0, t.began); t.began > 0 && at.After(g.Began) {
		g.Began = at
	}
}

// keepBusiest names the same callers in all endpoints of a cluster, so that they can be compared.
func keepBusiest(cluster []Tried) {
	all := map[string]uint64{}
	for _, t := range cluster {
		for caller, n := range t.Callers {
			all[caller] += n
		}
	}
	if len(all) <= maxTriedCallers {
		return
	}
	kept := busiest(all, maxTriedCallers)
	drop := func(caller string, _ uint64) bool { _, ok := kept[caller]; return !ok }
	for _, t := range cluster {
		maps.DeleteFunc(t.Callers, drop)
		maps.DeleteFunc(t.Failing, drop)
	}
}
