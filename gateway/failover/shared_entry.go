package failover

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

// topic is what kind of thing an entry tells.
type topic string

// What gateways tell one another.
const (
	topicOpinion topic = "opinion" // MEMBER/SUBJECT: what one gateway holds of a subject. Only it writes that
	topicCluster topic = "cluster" // MEMBER/CLUSTER: which subjects serve the same, as one gateway knows. Only it writes that
	topicRules   topic = "rules"   // MEMBER/rules: the digest of the rules that one gateway decides by. Only it writes that
	topicHold    topic = "hold"    // SUBJECT: a person's word
	topicPlan    topic = "plan"    // the shift plan
	topicMemory  topic = "memory"  // SUBJECT: what the next decision must know of it
	topicServing topic = "serving" // RULES: what is served by those who have these rules
)

func topics() []topic {
	return []topic{topicCluster, topicHold, topicMemory, topicOpinion, topicPlan, topicRules, topicServing}
}

// entry is one thing that gateways share. Of two for the same key the one that wins holds, wherever and in whatever order they meet.
type entry struct {
	Topic  topic           `json:"topic"`
	Key    string          `json:"key,omitempty"`
	Rank   uint64          `json:"rank,omitempty"` // of plans and what is served: how far it is
	Clock  int64           `json:"clock"`          // when it was written, in nanoseconds since 1970 by the shared clock
	Origin string          `json:"origin"`         // the member that wrote it
	Until  int64           `json:"until"`          // it says nothing afterwards
	Keep   int64           `json:"keep"`           // until then it overrules: what it has overruled would have lasted as long
	Body   json.RawMessage `json:"body,omitempty"` // none: a tombstone

	value any    // what Body says; nil of a tombstone
	line  []byte // it all as it is told, once it was
}

type entryID struct {
	topic topic
	key   string
}

func (e *entry) id() entryID { return entryID{e.Topic, e.Key} }

// wins is a whole order.
func (e *entry) wins(other *entry) bool {
	return cmp.Or(
		cmp.Compare(e.Rank, other.Rank), cmp.Compare(e.Clock, other.Clock), strings.Compare(e.Origin, other.Origin),
		cmp.Compare(e.Until, other.Until), bytes.Compare(e.Body, other.Body),
	) > 0
}

// live tells whether it says something at a time of the shared clock.
func (e *entry) live(now time.Time) bool {
	return e != nil && e.value != nil && e.Until > now.UnixNano()
}

// owned tells whether it is for one gateway alone to write that.
func (t topic) owned() bool { return t == topicOpinion || t == topicCluster || t == topicRules }

// member is whose it is, of what is one gateway's.
func (e *entry) member() (member, rest string) {
	member, rest, _ = strings.Cut(e.Key, "/")
	return member, rest
}

// memory is what the next decision must know of a subject. What is healthy and in, and always was, has none.
type memory struct {
	IDC      string      `json:"idc,omitempty"`
	Health   Health      `json:"health,omitempty"`
	Since    time.Time   `json:"since,omitzero"`
	Why      string      `json:"why,omitempty"`
	Down     bool        `json:"down,omitempty"`
	Out      bool        `json:"out,omitempty"` // by a person's word
	Falls    []time.Time `json:"falls,omitempty"`
	Returned time.Time   `json:"returned,omitzero"`
}

// plain tells whether there is nothing to remember.
func (m *memory) plain() bool {
	return !m.Down && !m.Out && m.Health != Dead && m.Health != Gray && len(m.Falls) == 0 && m.Returned.IsZero()
}

// served is what was served last, and what goes with it.
type served struct {
	Serving xds.Serving       `json:"serving"`
	Would   xds.Serving       `json:"would"`
	Frozen  map[string]Freeze `json:"frozen,omitempty"`
	Ejected []time.Time       `json:"ejected,omitempty"`
}
