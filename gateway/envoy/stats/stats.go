// Package stats turns the streams of Envoy's metrics service (v3) into the metrics that Envoy's own Prometheus endpoint has.
//
// In come encoded StreamMetricsMessages, one stream per Envoy. Out go cumulative metrics of all of them, at every flush those
// that changed, with labels that say which Envoy. It does no I/O, reads no clock and keeps no history.
package stats

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// ErrMalformed is returned for a message that is not a StreamMetricsMessage.
var ErrMalformed = errors.New("malformed StreamMetricsMessage")

// Options of a Sink. Zero fields mean the defaults given.
type Options struct {
	Keep     func(name string) bool // whether a stat is kept, by Envoy's name of it without its tags; nil: all are
	Istio    bool                   // keep Istio's own istio_* families
	Sample   func(Sample)           // is told how many access-log entries an Envoy says that it wrote; nil: nobody
	Idle     time.Duration          // a series not sent for so long is forgotten (15 minutes)
	Refresh  time.Duration          // an unchanged series is handed on again after so long, in seconds up to a day (1 minute)
	MaxNode  int                    // series kept of one node (20,000)
	MaxTotal int                    // series kept in all (1,000,000)
}

// Sample is what an Envoy's stats say of its gRPC access logs, cumulative within one Envoy process.
type Sample struct {
	Node                   string
	At                     time.Time
	Written, Flushed       uint64 // access_logs.grpc_access_log.logs_written and .grpc_entries_flushed
	HasWritten, HasFlushed bool
	Restarted              bool // a value went back since the sample before
}

// Sink keeps the series of all nodes. All methods may be called concurrently, but only one Flush at a time.
type Sink struct {
	options Options
	began   time.Time
	shapes  shapes
	dropped [reasonCount]atomic.Uint64
	series  atomic.Int64 // kept, of all nodes

	mu      sync.Mutex
	nodes   map[nodeKey]*node
	streams int
	flushed time.Time
	swept   time.Time
}

// New returns an empty Sink.
func New(o Options, now time.Time) *Sink {
	if o.Idle == 0 {
		o.Idle = 15 * time.Minute
	}
	if o.Refresh == 0 {
		o.Refresh = time.Minute
	}
	if o.MaxNode == 0 {
		o.MaxNode = 20_000
	}
	if o.MaxTotal == 0 {
		o.MaxTotal = 1_000_000
	}
	k := &Sink{options: o, began: now, nodes: map[nodeKey]*node{}, flushed: now, swept: now}
	k.shapes.init(o)
	return k
}

// Open starts to read a stream of node n. Close must follow. Of streams of one node that are open at the same time, only the
// one opened last counts.
func (k *Sink) Open(n mesh.Node) *Stream {
	key := nodeKey{id: n.ID, idc: n.IDC, app: n.App(), version: n.Version()}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.streams++
	to := k.nodes[key]
	if to == nil {
		to = newNode(key)
		k.nodes[key] = to
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	to.open++
	to.epoch++
	to.rounds = 0
	to.kindBefore = to.kind
	return &Stream{sink: k, node: to, epoch: to.epoch, at: none}
}

// Totals are the figures of a Sink since it began.
type Totals struct {
	Messages  map[string]uint64 // by node id, without nodes that were forgotten
	Streams   int               // open
	Series    int
	Malformed uint64            // families that could not be read
	Overflow  uint64            // families dropped because of MaxNode or MaxTotal
	Dropped   map[string]uint64 // families left out on purpose, by reason
}

// Totals returns the figures as of now.
func (k *Sink) Totals() Totals {
	t := Totals{
		Messages: map[string]uint64{}, Series: int(k.series.Load()), Dropped: map[string]uint64{},
		Malformed: k.dropped[malformed].Load(), Overflow: k.dropped[overflow].Load(),
	}
	for r := overflow + 1; r < reasonCount; r++ {
		t.Dropped[r.String()] = k.dropped[r].Load()
	}
	k.mu.Lock()
	t.Streams = k.streams
	nodes := k.list()
	k.mu.Unlock()
	for _, n := range nodes {
		n.mu.Lock()
		t.Messages[n.id] += n.messages
		n.mu.Unlock()
	}
	return t
}

// list returns the nodes. k.mu is held.
func (k *Sink) list() []*node {
	nodes := make([]*node, 0, len(k.nodes))
	for _, n := range k.nodes {
		nodes = append(nodes, n)
	}
	return nodes
}

// reason says why a family makes no series.
type reason uint8

const (
	kept reason = iota
	malformed
	overflow
	excluded
	istio
	duplicate
	replaced
	unsupported
	summary // the histogram of the same stat is kept
	reasonCount
)

func (r reason) String() string {
	return [...]string{"kept", "malformed", "overflow", "excluded", "istio", "duplicate", "replaced", "unsupported", "summary"}[r]
}
