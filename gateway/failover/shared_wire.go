package failover

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	wireHead = "lockkeeper failover 1\n"
	wirePart = 48 << 10 // bytes, about, of a message of news
	mostWire = 64 << 20 // bytes of a whole
)

// whole is all that the ledger knows: a line of JSON each entry, behind a line that says what it is.
func (l *ledger) whole() []byte {
	out := bytes.NewBufferString(wireHead)
	for _, t := range topics() {
		for _, e := range l.entries[t] {
			e.encode(out)
		}
	}
	return out.Bytes()
}

// tell gives what has changed since it was asked last, in messages like whole's.
func (l *ledger) tell() (messages [][]byte) {
	if len(l.news) == 0 {
		return nil
	}
	ids := slices.SortedFunc(maps.Keys(l.news), func(a, b entryID) int { return strings.Compare(string(a.topic)+a.key, string(b.topic)+b.key) })
	clear(l.news)
	out := bytes.NewBufferString(wireHead)
	for _, id := range ids {
		if l.entries[id.topic][id.key].encode(out); out.Len() > wirePart {
			messages = append(messages, out.Bytes())
			out = bytes.NewBufferString(wireHead)
		}
	}
	if out.Len() > len(wireHead) {
		messages = append(messages, out.Bytes())
	}
	return messages
}

func (e *entry) encode(out *bytes.Buffer) {
	if line, err := json.Marshal(e); err == nil { // it never fails: what Body holds has been read
		out.Write(line)
		out.WriteByte('\n')
	}
}

// hear takes a message of another gateway's, entry by entry: one that is bad is counted, and hinders no other.
func (l *ledger) hear(message []byte, own time.Time) error {
	rest, ok := bytes.CutPrefix(message, []byte(wireHead))
	if !ok || len(message) > mostWire {
		l.refused[refusedForeign]++
		return errors.New("failover: no message of another gateway's failover, or of another version of it")
	}
	for line := range bytes.Lines(rest) {
		var e entry
		if len(line) > mostEntry || json.Unmarshal(line, &e) != nil {
			l.refused[refusedMalformed]++
			continue
		}
		l.receive(&e, own)
	}
	return nil
}
