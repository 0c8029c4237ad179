package stats

import (
	"sync"
	"time"
)

// nodeKey tells sources apart: what they are called is on all of their series.
type nodeKey struct{ id, idc, app, version string }

// node is one source and its series.
type node struct {
	nodeKey

	mu         sync.Mutex
	series     []series
	index      map[*identity]uint32
	messages   uint64
	open       int           // streams
	epoch      uint32        // of the stream opened last
	kind       counting      // what is known of its counters
	kindBefore counting      // when the stream opened last was opened
	rounds     int           // of the stream opened last
	round      int64         // timestamp of the metrics read last; a round may come in several messages
	last       time.Time     // when the round read last came; zero: none yet
	before     time.Time     // when the one before came
	interval   time.Duration // between them; 0: not known
	families   int           // in the round read last, so far
	previous   int           // in the one before
	follows    bool          // the round read last came soon after the one before
	born       time.Time     // when its Envoy began, if that was seen; else zero
	compacted  int           // how often series were moved
	istio      uint64        // families dropped because they are Istio's own
	sample     Sample        // as it was last told
}

func newNode(key nodeKey) *node {
	return &node{nodeKey: key, index: map[*identity]uint32{}}
}

// counting says what the values of a node's counters are.
type counting uint8

const (
	undecided counting = iota // handled as cumulative
	cumulative
	deltas
)

func (c counting) String() string {
	return [...]string{"undecided", "cumulative", "deltas"}[c]
}

// series is one stat of one node.
type series struct {
	*identity
	shape        *shape // by which it was read last
	distribution *distribution
	value        float64 // to hand on
	last         float64 // counters: as received last
	sum          float64 // counters: of all values received, as far as they may be deltas
	start        int64   // Unix nanoseconds since when it counts; 0: not known
	seen         uint32  // when it was received last, in seconds since the Sink began
	epoch        uint32  // of the stream that it was received from last
	next         uint32  // the series that followed it last time
	flags        flags
	phase        uint32 // the second of each refresh time at which it is handed on even if it has not changed
}

type flags uint8

const (
	changed flags = 1 << iota // since it was handed on
	fresh                     // begins with a zero that was not handed on yet
	stale                     // was marked as gone
	known                     // was handed on
	unread                    // has no value yet
)

// none is the index of no series.
const none = 1<<32 - 1

// longest is the longest stats_flush_interval that Envoy takes.
const longest = 5 * time.Minute

// silence is how long a source may be silent before its series are marked as gone.
func (n *node) silence() time.Duration {
	if n.rounds < 2 && n.open > 0 {
		return longest // its second message will tell
	}
	return max(3*n.interval, 15*time.Second)
}

// NodeStatus says how a node's stats arrive.
type NodeStatus struct {
	ID, IDC, App string
	Streams      int       // open
	Last         time.Time // when a message came last
	Interval     time.Duration
	Families     int // sent at a time
	Series       int // kept
	IstioDropped uint64
	Mode         string // of its counters: cumulative, deltas or undecided
}

// Nodes returns the status of the nodes that are not forgotten yet, in no order.
func (k *Sink) Nodes(time.Time) []NodeStatus {
	k.mu.Lock()
	nodes := k.list()
	k.mu.Unlock()
	all := make([]NodeStatus, 0, len(nodes))
	for _, n := range nodes {
		n.mu.Lock()
		all = append(all, NodeStatus{
			ID: n.id, IDC: n.idc, App: n.app, Streams: n.open, Last: n.last, Interval: n.interval,
			Families: max(n.families, n.previous), Series: len(n.series), IstioDropped: n.istio, Mode: n.kind.String(),
		})
		n.mu.Unlock()
	}
	return all
}
