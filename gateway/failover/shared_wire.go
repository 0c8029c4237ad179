package failover

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	wireHead = "lockkeeper failover 1 " // and whole or news, and what the clock of who sends it says, in nanoseconds since 1970
	wirePart = 48 << 10                 // bytes, about, of a message of news
	mostWire = 64 << 20                 // bytes of a whole
)

// whole is all that the ledger knows: a line of JSON each entry, behind a line that says what it is.
func (l *ledger) whole(own time.Time) []byte {
	out := l.message("whole", own)
	for _, t := range topics() {
		for _, e := range l.entries[t] {
			e.encode(out)
		}
	}
	return out.Bytes()
}

func (l *ledger) message(what string, own time.Time) *bytes.Buffer {
	return bytes.NewBufferString(wireHead + what + " " + strconv.FormatInt(l.clock.at(own).UnixNano(), 10) + "\n")
}

// tell gives what has changed since it was asked last, in messages like whole's.
func (l *ledger) tell(own time.Time) (messages [][]byte) {
	if len(l.news) == 0 {
		return nil
	}
	ids := slices.SortedFunc(maps.Keys(l.news), func(a, b entryID) int { return strings.Compare(string(a.topic)+a.key, string(b.topic)+b.key) })
	clear(l.news)
	out := l.message("news", own)
	for _, id := range ids {
		if l.entries[id.topic][id.key].encode(out); out.Len() > wirePart {
			messages = append(messages, out.Bytes())
			out = l.message("news", own)
		}
	}
	return append(messages, out.Bytes())
}

func (e *entry) encode(out *bytes.Buffer) {
	if e.line == nil {
		line, _ := json.Marshal(e) // it never fails: what Body holds has been read
		e.line = append(line, '\n')
	}
	out.Write(e.line)
}

// hear takes a message of another gateway's, entry by entry: one that is bad is counted, and hinders no other.
func (l *ledger) hear(message []byte, own time.Time) error {
	rest, ok := bytes.CutPrefix(message, []byte(wireHead))
	head, rest, isHead := bytes.Cut(rest, []byte("\n"))
	what, number, isStamp := strings.Cut(string(head), " ")
	stamp, err := strconv.ParseInt(number, 10, 64)
	if !ok || !isHead || !isStamp || err != nil || len(message) > mostWire {
		l.refused[refusedForeign]++
		return errors.New("failover: no message of another gateway's failover, or of another version of it")
	}
	l.passes = l.joined && what == "whole"
	defer func() { l.passes = false }()
	if len(l.right) > 0 || what == "whole" && l.clock.wrong(stamp, own) { // news may be old: they are passed on
		l.right = append(l.right, bytes.Clone(message)) // the bytes of news are the library's
	}
	l.clock.saw(stamp, own) // a wrong one is counted with its entries
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
