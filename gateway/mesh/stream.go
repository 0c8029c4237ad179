package mesh

import (
	"errors"
	"sync"
	"unique"
)

// Bounds of what one stream remembers. Whatever is beyond is looked up anew, never lost.
const (
	maxStreamSeries   = 8192
	maxStreamPeers    = 1024
	maxStreamServices = 2048 // by name, and by cluster
	maxStreamAddrs    = 4096
)

// ErrMalformed is returned for a message that is not a StreamAccessLogsMessage.
var ErrMalformed = errors.New("malformed StreamAccessLogsMessage")

// Stream reads the messages of one access-log stream and counts on its own until the next merge. Add must not be called
// concurrently; everything else may be.
type Stream struct {
	aggregator *Aggregator
	secret     secret // the aggregator's, near at hand
	node       Node
	own        unique.Handle[Peer]
	self       *party // own
	nobody     *party // unknown.peer
	ownRaw     attributes
	idc        unique.Handle[string]
	unknown    struct {
		peer      unique.Handle[Peer]
		principal unique.Handle[string]
	}
	source    *source    // of the node
	reporter  reporter   // by the stream's log name or node kind, if these tell
	ingress   *ingress   // nil: the stream is of no ingress
	endpoints *endpoints // nil: its tries are not told

	mu       sync.Mutex
	series   table[*counts] // by hash of the key
	dirty    []*counts
	failures int // that wait in these
	tries    map[try]uint64
	stats    Stats
	readHTTP uint64 // entries that source does not know of yet
	readTCP  uint64
	entry    entry // of the entry being read
	scratch  []byte
	raw      table[*party] // by hash of what described them
	parties  map[unique.Handle[Peer]]*party
	peers    map[uint64]unique.Handle[Peer] // by hash of attributes
	services table[named]
	placed   map[placed]unique.Handle[Peer]
	texts    table[unique.Handle[string]] // principals, clusters, addresses of endpoints
	fars     table[far]                   // by hash of the address or IP
	learned  table[unique.Handle[Peer]]   // addresses told to the aggregator
}

// Stats counts what became of a stream's entries.
type Stats struct {
	Counted      uint64 // in series
	Malformed    uint64
	Intermediate uint64 // not the final entry of a request or connection; of connections it may add bytes
	UDP          uint64 // of a UDP session
	Tries        uint64 // of one try of a request each, counted apart from requests
	Unknown      [unknownCount]uint64
}

func (s *Stats) add(o *Stats) {
	s.Counted += o.Counted
	s.Malformed += o.Malformed
	s.Intermediate += o.Intermediate
	s.UDP += o.UDP
	s.Tries += o.Tries
	for i, n := range o.Unknown {
		s.Unknown[i] += n
	}
}

// Access log types, from envoy.data.accesslog.v3.AccessLogType. Envoys before 1.26 send none.
const (
	typeNotSet               = 0
	typeTCPUpstreamConnected = 1
	typeTCPPeriodic          = 2
	typeTCPConnectionEnd     = 3
	typeDownstreamEnd        = 6
	typeUpstreamEnd          = 9
	typeUDPTunnelConnected   = 11
	typeUDPPeriodic          = 12
	typeUDPSessionEnd        = 13
)

// Add reads a StreamAccessLogsMessage. The bytes may be reused as soon as it returns. A malformed entry is counted and
// skipped; ErrMalformed means that the message itself cannot be read on.
func (s *Stream) Add(message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.received()
	c := cursor{b: message}
	for c.next() {
		switch c.tag {
		case 2<<3 | length:
			logs := cursor{b: c.sub()}
			for logs.next() {
				if logs.tag == 1<<3|length {
					s.readHTTP++
					s.http(logs.sub())
				}
			}
			if logs.bad {
				return ErrMalformed
			}
		case 3<<3 | length:
			logs := cursor{b: c.sub()}
			for logs.next() {
				if logs.tag == 1<<3|length {
					s.readTCP++
					s.tcp(logs.sub())
				}
			}
			if logs.bad {
				return ErrMalformed
			}
		}
	}
	if c.bad {
		return ErrMalformed
	}
	return nil
}

func (s *Stream) http(b []byte) {
	e := &s.entry
	*e = entry{}
	if !e.unmarshal(b) {
		s.stats.Malformed++
		return
	}
	if e.logType == typeUpstreamEnd {
		s.try(e)
		return
	}
	if e.intermediate || e.logType != typeDownstreamEnd && e.logType != typeNotSet {
		s.stats.Intermediate++
		return
	}
	k, ok := s.key(e)
	if !ok {
		s.stats.Malformed++
		return
	}
	s.stats.Counted++
	s.countUnknown(&k, e)
	if o := s.aggregator.observer.Load(); o != nil {
		s.observe(o, b, k, false)
	}
	if s.ingress != nil {
		s.enter(b, &k, e)
	}
	if s.endpoints != nil {
		s.tell(&k, e, false)
	}
	n := s.countsOf(&k, e.id)
	n.add(&s.aggregator.bounds, e)
	n.passed.add(e, k.reporter)
	if k.failure() {
		s.fail(n, b)
	}
}

// countsOf returns what the stream counts of a series, to be added to. id is a hash of the key, and the same for each of its
// entries as a rule; where it is not, the series is counted in parts.
func (s *Stream) countsOf(k *key, id uint64) *counts {
	n, _ := s.series.get(id)
	if n == nil || n.key != *k {
		if s.series.used >= maxStreamSeries || len(s.dirty) >= maxStreamSeries {
			s.merge()
		}
		n = &counts{key: *k}
		s.series.put(maxStreamSeries, id, n)
	}
	if !n.dirty {
		n.dirty = true
		s.dirty = append(s.dirty, n)
	}
	return n
}

// merge hands the counts to the aggregator. s.mu is held.
func (s *Stream) merge() {
	s.aggregator.merge(s.dirty)
	clear(s.dirty) // so that it keeps no counts
	s.dirty, s.failures = s.dirty[:0], 0
	s.aggregator.mergeTries(s.tries)
}

// remember puts a value into one of a stream's maps, which is made when it is needed and emptied when it is full.
func remember[K comparable, V any](in *map[K]V, limit int, k K, v V) {
	if *in == nil {
		*in = map[K]V{}
	} else if len(*in) >= limit {
		clear(*in)
	}
	(*in)[k] = v
}
