package failover

import (
	"encoding/json"
	"maps"
	"time"
)

const (
	keepLonger = 2 * mostAhead    // a tombstone outlasts what it deletes, since clocks differ
	sameMoment = 10 * time.Second // who overrules so soon has not known of it, or is of another mind
)

// ledger is what this gateway knows of all that gateways share: entries, the last word of each key, and the shared clock. Merging is commutative,
// associative and idempotent, so that all who know the same entries know the same. It does no I/O, and is not safe for concurrent use.
type ledger struct {
	self    string // the member that it is
	sites   map[string]string
	clock   *clock
	last    int64 // the greatest clock of an entry
	entries map[topic]map[string]*entry
	news    map[entryID]bool // what others must hear of
	changed map[topic]uint64 // counts up when an entry becomes another
	count   int
	joined  bool // what others know is known
	passes  bool // what comes is passed on: from a network that had parted. News are by who brings them
	echo    bool // somebody knows more of what this gateway has said than it does: it was another process

	conflicts map[topic]int64 // where others have overruled what this gateway had written
	refused   map[string]int64
	ahead     ahead // the last one whose clock was refused
	insists   map[entryID]*insisting
	right     [][]byte // the whole of a gateway by whose time this one's clock was mended, and what came since; it is heard again once this one goes on by it
	mended    int64    // how often that was
}

// ahead is who has a wrong clock, unless it is this gateway.
type ahead struct {
	origin string
	by     time.Duration
	at     time.Time
}

// Why an entry is refused.
const (
	refusedMalformed = "malformed" // it cannot have been written by a gateway
	refusedClock     = "clock"     // its clock is too far ahead
	refusedExpired   = "expired"   // what it says is over: it comes from somebody who was away
	refusedFull      = "full"      // there are too many
	refusedForeign   = "foreign"   // it is no message of failover's
)

func refusals() []string {
	return []string{refusedClock, refusedExpired, refusedForeign, refusedFull, refusedMalformed}
}

func newLedger(self string, sites map[string]string, c *clock) *ledger {
	l := &ledger{self: self, sites: sites, clock: c, changed: map[topic]uint64{}, conflicts: map[topic]int64{}, refused: map[string]int64{}}
	l.forget()
	return l
}

// forget forgets all entries, and what was to be told of them.
func (l *ledger) forget() {
	l.entries, l.news, l.insists = map[topic]map[string]*entry{}, map[entryID]bool{}, map[entryID]*insisting{}
	l.last, l.count, l.echo, l.ahead = 0, 0, false, ahead{}
	for _, t := range topics() {
		l.entries[t] = map[string]*entry{}
		l.changed[t]++
	}
}

// get is what an entry says now, nil if nothing.
func (l *ledger) get(t topic, key string, own time.Time) *entry {
	if e := l.entries[t][key]; e.live(l.clock.at(own)) {
		return e
	}
	return nil
}

// write says something anew. A nil body is a tombstone: it lasts as long as what it deletes would have.
func (l *ledger) write(t topic, key string, rank uint64, until time.Time, body any, own time.Time) {
	l.writeAt(max(l.clock.at(own).UnixNano(), l.last+1), t, key, rank, until, body)
}

// writeAt writes as of a time of the shared clock.
func (l *ledger) writeAt(stamp int64, t topic, key string, rank uint64, until time.Time, body any) {
	e := &entry{Topic: t, Key: key, Rank: rank, Origin: l.self, Clock: stamp}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			l.refused[refusedMalformed]++
			return
		}
		e.Body, e.Until = text, until.UnixNano()
	}
	e.Keep = e.Until
	if e.parse(l.sites) != nil { // so that this gateway has exactly what the others will have. A name may be too long, or no text
		l.refused[refusedMalformed]++
		return
	}
	l.merge(e)
}

// receive takes an entry of another gateway's.
func (l *ledger) receive(e *entry, own time.Time) {
	if was := l.entries[e.Topic][e.Key]; was != nil && e.Keep == was.Keep && !e.wins(was) { // most of what comes is known
		return
	}
	if err := e.parse(l.sites); err != nil {
		l.refused[refusedMalformed]++
		return
	}
	if e.Keep+int64(keepLonger) <= l.clock.at(own).UnixNano() {
		l.refused[refusedExpired]++
		return
	}
	if !l.clock.saw(e.Clock, own) {
		l.refused[refusedClock]++
		by := time.Duration(e.Clock - l.clock.own(own).UnixNano())
		if by > l.ahead.by || own.Sub(l.ahead.at) >= insistMemory { // entries are of all ages: the newest tells how far
			l.ahead.origin, l.ahead.by = e.Origin, by
		}
		l.ahead.at = own
		return
	}
	if l.entries[e.Topic][e.Key] == nil && l.count >= mostEntries {
		l.refused[refusedFull]++
		return
	}
	if was := l.entries[e.Topic][e.Key]; was != nil && was.Origin == l.self && e.Origin != l.self && e.wins(was) && e.Clock-was.Clock < int64(sameMoment) {
		l.conflicts[e.Topic]++
	}
	if l.merge(e) && e.Origin == l.self {
		l.echo = true
	}
}

// merge keeps the last word of both, and until when it overrules. It tells whether there is another word now.
func (l *ledger) merge(e *entry) bool {
	l.last = max(l.last, e.Clock)
	was := l.entries[e.Topic][e.Key]
	if was == nil {
		l.count++
	} else if !e.wins(was) {
		if e.Keep > was.Keep {
			longer := *was
			longer.Keep, longer.line = e.Keep, nil
			l.put(&longer)
		}
		return false
	} else {
		e.Keep = max(e.Keep, was.Keep)
	}
	l.put(e)
	l.changed[e.Topic]++
	if e.Origin != l.self && (e.Topic == topicHold || e.Topic == topicPlan || e.Topic == topicCluster) {
		clear(l.insists) // who did not know of it may be of the same mind now
	}
	return true
}

func (l *ledger) put(e *entry) {
	l.entries[e.Topic][e.Key] = e
	if l.passes || e.Origin == l.self {
		l.news[e.id()] = true
	}
}

// sweep forgets what overrules nothing any more.
func (l *ledger) sweep(own time.Time) {
	over := l.clock.at(own).Add(-keepLonger).UnixNano()
	for t, entries := range l.entries {
		for key, e := range entries {
			if e.Keep <= over {
				delete(entries, key)
				delete(l.news, e.id())
				l.count--
				l.changed[t]++
			}
		}
	}
	maps.DeleteFunc(l.insists, func(_ entryID, i *insisting) bool { return own.Sub(i.last) > insistMemory })
}
