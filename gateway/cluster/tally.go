package cluster

import (
	"errors"
	"maps"
	"sync"
	"time"
)

// What is counted of messages.
const (
	sent     = "sent"     // broadcast by this gateway
	received = "received" // from another, and new
	repeated = "repeated" // was here: gossip brings most messages more than once
)

// Where messages wait.
const (
	queueGossip = "gossip"
	queueLarge  = "large"
)

// tally counts what becomes of messages.
type tally struct {
	mu       sync.Mutex
	messages map[[2]string]int64 // by direction and key
	dropped  map[string]int64    // by queue
	refused  map[string]refusal  // by reason
}

// refusal is how often something was refused for a reason, and the last time.
type refusal struct {
	Count int64     `json:"count"`
	Last  string    `json:"last,omitempty"`
	At    time.Time `json:"at,omitzero"`
}

func newTally() *tally {
	t := &tally{messages: map[[2]string]int64{}, dropped: map[string]int64{queueGossip: 0, queueLarge: 0}, refused: map[string]refusal{}}
	for _, reason := range reasons() {
		t.refused[reason] = refusal{}
	}
	return t
}

// reasons are why something is refused.
func reasons() []string { return []string{"busy", "garbage", "key", "merge", "meta", "size", "stale"} }

func (t *tally) message(direction, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.messages[[2]string{direction, key}]++
}

func (t *tally) drop(queue string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped[queue] += int64(n)
}

// refuse counts what was refused by its reason.
func (t *tally) refuse(err error) {
	reason := "garbage"
	switch {
	case errors.Is(err, errMeta):
		reason = "meta"
	case errors.Is(err, errMerge):
		reason = "merge"
	case errors.Is(err, errBusy):
		reason = "busy"
	case errors.Is(err, errKey):
		reason = "key"
	case errors.Is(err, errSize):
		reason = "size"
	case errors.Is(err, errStale):
		reason = "stale"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused[reason] = refusal{Count: t.refused[reason].Count + 1, Last: err.Error(), At: time.Now()}
}

func (t *tally) refusals() map[string]refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.refused)
}
