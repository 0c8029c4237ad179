// Package xds holds what is served: the type Serving, and the server that tells it to Envoy.
package xds

import "time"

// Whole is the sum of the weights of all IDCs: weights are hundredths of a percent.
const Whole = 10_000

// Serving is the whole state of what may be served: applying it twice is harmless, losing one on the way to the next is harmless. It is immutable
// once it is handed out. Of two, the one with the higher Version holds; it never goes back, also over restarts.
type Serving struct {
	Version uint64    `json:"version"`
	At      time.Time `json:"at"` // when it was decided

	// Degraded tells that it is not what people asked for: a verdict moved traffic, or could not.
	Degraded bool `json:"degraded"`

	// Out are the subjects to take out, machine/NAME or endpoint/ADDRESS. Nil means none.
	Out map[string]Out `json:"out"`

	// IDCs are the weights, by name. Nil means that nothing is known of IDCs: serve all of them alike.
	IDCs map[string]IDC `json:"idcs"`
}

// Out tells how a subject is taken out.
type Out struct {
	Drain bool      `json:"drain"` // requests under way finish (gray); else it is removed at once (dead)
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// IDC is one data centre's share.
type IDC struct {
	Entry uint32 `json:"entry"` // weight at the entry (DNS, edge routes); those of all IDCs sum to Whole
	Mesh  uint32 `json:"mesh"`  // weight inside the mesh; likewise
	Why   string `json:"why"`   // why it has this weight, for people
}
