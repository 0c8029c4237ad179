package cluster

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/memberlist"
	amcluster "github.com/prometheus/alertmanager/cluster"
)

// maxQueued is how many small messages wait for gossip at most. Those that were sent most often go first.
const maxQueued = 4096

// exchange brings changes of states to all members, each passing on what is new to it, and the whole of states to one at a time.
// It implements memberlist.Delegate.
type exchange struct {
	members *members
	tally   *tally
	meta    meta
	leaving atomic.Bool
	gossip  *memberlist.TransmitLimitedQueue
	large   *large
	seen    seen
	running atomic.Bool // what is broadcast goes out

	mu     sync.Mutex
	states map[string]amcluster.State
	sizes  map[string]int // of the whole states, when they were told last

	receiving sync.RWMutex // held for reading while states are merged
	stopped   bool
}

func newExchange(m *members, t *tally, told meta) *exchange {
	return &exchange{
		members: m, tally: t, meta: told, large: newLarge(m, t), states: map[string]amcluster.State{}, sizes: map[string]int{},
		gossip: &memberlist.TransmitLimitedQueue{RetransmitMult: retransmits, NumNodes: func() int { return len(m.alive.Load().sites) }},
	}
}

// channel is where a state tells of its changes.
type channel struct {
	key      string
	exchange *exchange
}

// Broadcast implements Alertmanager's cluster.ClusterChannel. It returns at once. What came from another member, or was broadcast a moment
// ago, is on its way already and is not sent again.
func (c *channel) Broadcast(b []byte) {
	e := c.exchange
	change := part{c.key, b}
	if !e.running.Load() || !e.seen.add(change) {
		return
	}
	encoded, err := message{change, e.members.self}.encode()
	if err != nil {
		e.tally.refuse(err)
		return
	}
	e.tally.message(sent, c.key)
	e.send(encoded, e.members.self)
}

// send sends an encoded message on its way, but not back to its origin.
func (e *exchange) send(encoded []byte, origin string) {
	if len(encoded) > smallMessage {
		e.large.send(encoded, origin)
		return
	}
	e.gossip.QueueBroadcast(gossiped(encoded))
	if over := e.gossip.NumQueued() - maxQueued; over > 0 {
		e.gossip.Prune(maxQueued)
		e.tally.drop(queueGossip, over)
	}
}

// gossiped is a message in memberlist's queue. None takes the place of another.
type gossiped []byte

func (gossiped) Invalidates(memberlist.Broadcast) bool { return false }
func (g gossiped) Message() []byte                     { return g }
func (gossiped) Finished()                             {}

// UniqueBroadcast implements memberlist.UniqueBroadcast.
func (gossiped) UniqueBroadcast() {}

// NodeMeta implements memberlist.Delegate.
func (e *exchange) NodeMeta(int) []byte {
	told := e.meta
	told.Leaving = e.leaving.Load()
	return told.encode()
}

// GetBroadcasts implements memberlist.Delegate.
func (e *exchange) GetBroadcasts(overhead, limit int) [][]byte {
	return e.gossip.GetBroadcasts(overhead, limit)
}

// NotifyMsg implements memberlist.Delegate: a change of a member has come.
func (e *exchange) NotifyMsg(b []byte) {
	if !e.running.Load() {
		return // the first exchange tells it, or this is the end
	}
	m, err := decodeMessage(b)
	if err != nil {
		e.tally.refuse(err)
		return
	}
	if m.origin == e.members.self {
		return
	}
	if !e.seen.add(m.part) {
		e.tally.message(repeated, e.label(m.key))
		return
	}
	e.members.heard(m.origin)
	e.tally.message(received, e.label(m.key))
	if err := e.merge(m.part); err != nil {
		return
	}
	e.send(slices.Clone(b), m.origin)
}

var errMerge = errors.New("its state refused it")

// merge merges a change, or the whole, into its state. One that is not known here concerns others.
func (e *exchange) merge(p part) error {
	e.receiving.RLock()
	defer e.receiving.RUnlock()
	e.mu.Lock()
	state := e.states[p.key]
	e.mu.Unlock()
	if state == nil || e.stopped {
		return nil
	}
	if err := state.Merge(p.data); err != nil {
		err = errors.Join(errMerge, err)
		e.tally.refuse(err)
		return err
	}
	return nil
}

// stop returns when no state is merged any more.
func (e *exchange) stop() {
	e.running.Store(false)
	e.receiving.Lock()
	defer e.receiving.Unlock()
	e.stopped = true
}

// label is the key for metrics: others cannot make new ones.
func (e *exchange) label(key string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.states[key] == nil {
		return "other"
	}
	return key
}

func (e *exchange) add(key string, state amcluster.State) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.states[key] = state
}

// LocalState implements memberlist.Delegate: it is the whole of all states. What does not fit is left out, the largest first.
func (e *exchange) LocalState(bool) []byte {
	e.mu.Lock()
	states := maps.Clone(e.states)
	e.mu.Unlock()
	var parts []part
	for key, state := range states {
		data, err := state.MarshalBinary()
		if err != nil {
			e.tally.refuse(errors.Join(errMerge, err))
			continue
		}
		parts = append(parts, part{key, data})
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(len(a.data), len(b.data)) })
	encoded, fit, err := encodeStates(parts, maxSent)
	if err != nil || fit < len(parts) {
		e.tally.refuse(cmp.Or(err, errSize))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range parts {
		e.sizes[p.key] = len(p.data)
	}
	return encoded
}

// MergeRemoteState implements memberlist.Delegate.
func (e *exchange) MergeRemoteState(b []byte, _ bool) {
	parts, err := decodeStates(b)
	if err != nil {
		e.tally.refuse(err)
		return
	}
	for _, p := range parts {
		_ = e.merge(p) // counted
	}
}

// sizesNow are the sizes of the whole states when they were told last.
func (e *exchange) sizesNow() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.sizes)
}
