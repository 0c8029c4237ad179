package envoy

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// What a stream carries.
const (
	kindALS   = "als"
	kindStats = "stats"
)

// Bounds of what waits for a client that records; what is beyond is dropped.
const (
	tapMessages = 4096
	tapBytes    = 32 << 20
)

// tapped is what a recording has to know of a stream.
type tapped struct {
	kind, node, logName string
	identifier          []byte // the field of the first message, without node.extensions
}

// newTapped reads the first message of a stream.
func newTapped(kind string, node *mesh.Node, first []byte) *tapped {
	return &tapped{kind: kind, node: node.ID, logName: node.LogName, identifier: identifierOf(first)}
}

// taps are those who record now. Nobody recording costs a stream one atomic load for each message.
type taps struct {
	now atomic.Pointer[[]*recording] // nil: nobody

	mu sync.Mutex
}

func (t *taps) add(r *recording) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*recording
	if now := t.now.Load(); now != nil {
		all = slices.Clone(*now)
	}
	all = append(all, r)
	t.now.Store(&all)
}

func (t *taps) remove(r *recording) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*t.now.Load()), func(other *recording) bool { return other == r })
	if len(all) == 0 {
		t.now.Store(nil)
		return
	}
	t.now.Store(&all)
}

// see hands a message of a stream to those who record it. The message may be reused when it returns.
func (t *taps) see(of *tapped, message []byte) {
	now := t.now.Load()
	if now == nil {
		return
	}
	var record []byte // shared: nobody changes it
	for _, r := range *now {
		if !r.wants(of) {
			continue
		}
		if record == nil {
			record = recordOf(of.identifier, message)
		}
		r.add(record)
	}
}

// recording is one client that records.
type recording struct {
	kind, node, logName string // of which streams; empty node or logName: of all
	messages            chan []byte
	pending             atomic.Int64 // bytes in messages
	dropped             atomic.Int64
	total               *atomic.Int64
	lasts               time.Duration // 0: until the client goes
}

func (r *recording) wants(t *tapped) bool {
	return r.kind == t.kind && (r.node == "" || r.node == t.node) && (r.logName == "" || r.logName == t.logName)
}

func (r *recording) add(record []byte) {
	size := int64(len(record))
	if r.pending.Add(size) <= tapBytes {
		select {
		case r.messages <- record:
			return
		default:
		}
	}
	r.pending.Add(-size)
	r.dropped.Add(1)
	r.total.Add(1)
}

// Fields of StreamAccessLogsMessage, of StreamMetricsMessage and of what is in them.
const (
	identifierField = 1 // of both messages
	nodeField       = 1 // of both identifiers
	extensionsField = 9 // of Node: 62 kB of names that nobody reads
)

// identifierOf is the identifier of a message as an encoded field, without node.extensions; nil when it has none.
func identifierOf(message []byte) []byte {
	var identifier []byte // several are merged by being joined
	found := false
	walkFields(message, func(number protowire.Number, _, content []byte) {
		if number != identifierField || content == nil {
			return
		}
		found = true
		walkFields(content, func(number protowire.Number, field, content []byte) {
			if number == nodeField && content != nil {
				node, _ := withoutField(content, extensionsField)
				field = protowire.AppendBytes(protowire.AppendTag(nil, nodeField, protowire.BytesType), node)
			}
			identifier = append(identifier, field...)
		})
	})
	if !found {
		return nil
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, identifierField, protowire.BytesType), identifier)
}

// recordOf is one message of a recording: its length, the stream's identifier, and all else that the message has.
func recordOf(identifier, message []byte) []byte {
	rest, ok := withoutField(message, identifierField)
	if !ok {
		identifier, rest = nil, message // not to be read: as it came
	}
	record := protowire.AppendVarint(make([]byte, 0, len(identifier)+len(rest)+5), uint64(len(identifier)+len(rest)))
	return append(append(record, identifier...), rest...)
}

// withoutField leaves out one length-delimited field of a message, which it copies; ok is false when the message is malformed.
func withoutField(message []byte, unwanted protowire.Number) (rest []byte, ok bool) {
	rest = make([]byte, 0, min(len(message), 4096))
	ok = walkFields(message, func(number protowire.Number, field, content []byte) {
		if number != unwanted || content == nil {
			rest = append(rest, field...)
		}
	})
	return rest, ok
}

// walkFields calls see for each field of a message, with the whole field and the content of one that is length-delimited. It
// returns false when the rest is malformed.
func walkFields(message []byte, see func(number protowire.Number, field, content []byte)) bool {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return false
		}
		var content []byte
		if kind == protowire.BytesType {
			content, _ = protowire.ConsumeBytes(message[n:])
		}
		see(number, message[:n+size], content)
		message = message[n+size:]
	}
	return true
}
