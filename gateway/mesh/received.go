package mesh

import (
	"cmp"
	"sync/atomic"
	"time"
)

// Source is what was received of one node since the gateway began, or since the node was last forgotten.
type Source struct {
	IDC     string
	App     string
	Ingress bool      // requests enter the IDC through it
	Streams int       // open
	Ended   time.Time // the last stream that did, at about that time
	HTTP    uint64    // entries of any type, whatever became of them: what Envoy counts as written
	TCP     uint64
}

// source is a Source in the aggregator's books. Its streams share it.
type source struct {
	http, tcp atomic.Uint64
	tells     atomic.Bool // every single try, by entries of their own
	idc, app  string
	ingress   bool
	streams   int       // as the next are: under the aggregator's lock
	ended     time.Time // the last stream, at about that time
}

// received adds what the stream has read since the last call.
func (s *Stream) received() {
	if s.readHTTP > 0 {
		s.source.http.Add(s.readHTTP)
	}
	if s.readTCP > 0 {
		s.source.tcp.Add(s.readTCP)
	}
	s.readHTTP, s.readTCP = 0, 0
}

// openSource is the source of node n, which has one stream more. a.mu is held.
func (a *Aggregator) openSource(n *Node) *source {
	src := a.sources[n.ID]
	if src == nil {
		src = &source{}
		a.sources[n.ID] = src
	}
	src.idc, src.app, src.ingress = n.IDC, cmp.Or(n.App(), Unknown), a.isIngress(n)
	src.streams++
	return src
}

// forgetSources drops the nodes without a stream since. a.mu is held.
func (a *Aggregator) forgetSources(since time.Time) {
	for id, src := range a.sources {
		if src.streams == 0 && src.ended.Before(since) {
			delete(a.sources, id)
		}
	}
}

// Received returns how many entries of any type were received of a node: what Sources tells of it, at less cost.
func (a *Aggregator) Received(node string) (http, tcp uint64) {
	a.mu.Lock()
	src := a.sources[node]
	a.mu.Unlock()
	if src == nil {
		return 0, 0
	}
	return src.http.Load(), src.tcp.Load()
}

// Sources returns what was received of each node, by its id. Nodes without a stream are forgotten after the idle time.
func (a *Aggregator) Sources() map[string]Source {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make(map[string]Source, len(a.sources))
	for id, src := range a.sources {
		all[id] = Source{IDC: src.idc, App: src.app, Ingress: src.ingress, Streams: src.streams, Ended: src.ended, HTTP: src.http.Load(), TCP: src.tcp.Load()}
	}
	return all
}
