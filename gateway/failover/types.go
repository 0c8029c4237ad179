// Package failover decides what is served. Evidence comes in and becomes one opinion per subject and site; opinions, people's holds and
// the shift make a Serving, which xds and dns act on. It does no I/O on the way: neither a plugin nor the storage can hinder it.
package failover

import (
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

// Health is what is held of a subject.
type Health string

// The zero Health is Unknown.
const (
	Unknown Health = ""
	Healthy Health = "healthy"
	Dead    Health = "dead" // unhealthy: nothing answers
	Gray    Health = "gray" // unhealthy: it answers, and fails more than its like
)

// Opinion is what one site holds of one subject, by its own evidence.
type Opinion struct {
	Subject string    `json:"subject"`
	IDC     string    `json:"idc,omitempty"` // where the subject is
	Site    string    `json:"site"`
	Health  Health    `json:"health"`
	Since   time.Time `json:"since"`             // when Health became what it is
	Why     string    `json:"why,omitempty"`     // the evidence in a few words
	Hold    time.Time `json:"hold,omitzero"`     // of a dead one: it does not become healthy before
	Answers bool      `json:"answers,omitempty"` // of a dead one: it answers again, though not for long enough. It is not newly taken out then
	Callers int       `json:"callers,omitempty"` // of a dead one: how many of those who called it agree, without one success among them
	Tried   bool      `json:"tried,omitempty"`   // of an endpoint: those who call it are enough to tell whether it is gray. Who is not says nothing against who is
	Vetoed  bool      `json:"vetoed,omitempty"`  // of a healthy one: its probes call it dead, and those who call it still succeed
}

// Action is what a Hold asks for.
type Action string

// Keep a subject as it is, take it out, or put it back and hold it healthy.
const (
	Keep    Action = "hold"
	Eject   Action = "eject"
	Restore Action = "restore"
)

// Hold is a person's word on a subject. It always ends.
type Hold struct {
	Subject string    `json:"subject"`
	Action  Action    `json:"action"`
	Hard    bool      `json:"hard,omitempty"` // does not yield when no other healthy IDC is left
	Kept    bool      `json:"kept,omitempty"` // of Keep: the subject was out when it began
	By      string    `json:"by"`
	Why     string    `json:"why,omitempty"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until"`
}

// Shift is what a shift plan asks for now: a weight for each IDC that sums to xds.Whole. The zero Shift asks for nothing: base weights.
type Shift struct {
	ID    string            `json:"id"`
	Entry map[string]uint32 `json:"entry,omitempty"` // nil: nothing is asked of the entry
	Mesh  map[string]uint32 `json:"mesh,omitempty"`  // nil: nothing is asked of the mesh
	Hard  bool              `json:"hard,omitempty"`  // a weight 0 does not yield when no other healthy IDC is left
	By    string            `json:"by"`
}

// Input is all that Decide looks at.
type Input struct {
	Now      time.Time
	Opinions []Opinion // of all sites, in any order
	Holds    []Hold    // ended ones are overlooked
	Shift    Shift
	Clusters map[string][]string // subjects that serve the same, by cluster. Nil: the machines of an IDC are one
	Before   Decision            // zero: a cold start

	// Agreed is what gateways that decide together hold of subjects and have out: it counts more than Before. What is healthy and in has none.
	// Nil: this gateway decides alone.
	Agreed map[string]Verdict
}

// Decision is what was decided, and all that the next decision must know of it. It is kept over restarts.
type Decision struct {
	At      time.Time          `json:"at"` // when it was decided
	Serving xds.Serving        `json:"serving"`
	Would   xds.Serving        `json:"would"` // what it were if every kind of subjects were in mode act
	Verdict map[string]Verdict `json:"verdicts"`
	Frozen  map[string]Freeze  `json:"frozen,omitempty"`  // by cluster or idc/NAME: no new ejections
	Ejected []time.Time        `json:"ejected,omitempty"` // the last ejections, for the global rate
	Alarms  map[string]string  `json:"alarms,omitempty"`  // what is wrong with the decision itself, by a stable name: see README.md

	Falls    map[string][]time.Time `json:"falls,omitempty"`    // when a subject went down in the last hour: each makes its return later
	Returned map[string]time.Time   `json:"returned,omitempty"` // when an IDC came back: its weight comes back in steps
	Release  map[string]time.Time   `json:"release,omitempty"`  // when a provisional ejection ends unless it is confirmed
	Next     time.Time              `json:"next,omitzero"`      // when to decide again at the latest; see Rules.Next
}

// Verdict is what all sites together hold of a subject, and what became of it.
type Verdict struct {
	IDC         string    `json:"idc,omitempty"`
	Health      Health    `json:"health"`
	Since       time.Time `json:"since"`
	Why         string    `json:"why,omitempty"`
	Out         bool      `json:"out"`                   // taken out
	Down        bool      `json:"down,omitempty"`        // the verdicts have it out, or would in mode act
	Provisional bool      `json:"provisional,omitempty"` // taken out before a restart and not confirmed since
	Blocked     string    `json:"blocked,omitempty"`     // unhealthy and not taken out: why (observe, budget, freeze, hold, last one …)
	Hold        time.Time `json:"hold,omitzero"`         // of what is down and healthy again: it does not return before
}

// Freeze is why nothing more is taken out of a cluster or an IDC.
type Freeze struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// Event is a line of the audit.
type Event struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // verdict, ejected, returned, diagnosis, weights, freeze, alarm, hold, shift, state
	Subject string    `json:"subject,omitempty"`
	What    string    `json:"what"`             // what changed
	Why     string    `json:"why,omitempty"`    // the evidence
	Who     string    `json:"who,omitempty"`    // a person's token; empty: the gateway itself
	Undoes  string    `json:"undoes,omitempty"` // what it ends
	Expires time.Time `json:"expires,omitzero"`

	Diagnosis *Diagnosis `json:"diagnosis,omitempty"` // of kind diagnosis: what is told in What, to be read by programs
}
