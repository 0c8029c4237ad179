package mesh

import (
	"slices"
	"strings"
)

// Class says whose failure a flag is: whom to call first.
type Class string

// The classes of flags.
const (
	ClassClient   Class = "client"   // the caller: it left, or sent what cannot be served
	ClassNetwork  Class = "network"  // between Envoy and the upstream host, or name resolution
	ClassUpstream Class = "upstream" // the application that is called
	ClassConfig   Class = "config"   // routes, clusters, faults, filters: somebody configured it
	ClassLimit    Class = "limit"    // a limit was met: connections, requests, rate, time, memory
)

// Explanation says what a response flag means. It is read by people, as text and as JSON.
type Explanation struct {
	Flag     string   `json:"flag"` // as %RESPONSE_FLAGS% and the label response_flags have it
	Name     string   `json:"name"` // as %RESPONSE_FLAGS_LONG% has it
	Class    Class    `json:"class,omitempty"`
	Failure  bool     `json:"failure"`          // whether the request counts as failed
	Meaning  string   `json:"meaning"`          // one or two sentences
	Causes   []string `json:"causes,omitempty"` // the usual ones, the likeliest first
	Check    []string `json:"check,omitempty"`  // what to look at, the quickest first
	Code     string   `json:"code,omitempty"`   // the response codes that come with it
	Details  []string `json:"details,omitempty"`
	Upstream Upstream `json:"upstream,omitempty"`
}

// Upstream says whether entries with a flag name the cluster and the host that were called.
type Upstream string

// Envoy names the cluster in ALS only when it had chosen a host.
const (
	UpstreamTold    Upstream = "cluster and host are told"
	UpstreamNotTold Upstream = "no cluster, no host: no host was chosen. The service is known by route or authority, the app is unknown"
	UpstreamMaybe   Upstream = "cluster and host are told if a host was chosen before"
)

// Together says what flags mean that come in one entry.
type Together struct {
	Flags   []string `json:"flags"` // sorted
	Meaning string   `json:"meaning"`
}

// Explanations returns all flags of Envoy 1.40, sorted by name.
func Explanations() []Explanation {
	var all []Explanation
	for bit := range flagTable {
		if flagName(bit) != "" {
			all = append(all, explanation(bit))
		}
	}
	slices.SortFunc(all, func(a, b Explanation) int { return strings.Compare(a.Flag, b.Flag) })
	return all
}

// Explain looks a flag up by its short or long name, in upper or lower case. "-" is the entry without flags.
func Explain(name string) (Explanation, bool) {
	if name == noFlag.Flag {
		return noFlag, true
	}
	for bit := range flagTable {
		if known := &flagTable[bit]; known.Flag != "" && (strings.EqualFold(name, known.Flag) || strings.EqualFold(name, known.Name)) {
			return explanation(bit), true
		}
	}
	return Explanation{}, false
}

// ExplainTogether returns what is worth knowing of flags that come together; their order does not matter.
func ExplainTogether(flags []string) []Together {
	var notes []Together
	for _, note := range together {
		if !slices.ContainsFunc(note.Flags, func(flag string) bool { return !slices.Contains(flags, flag) }) {
			notes = append(notes, note)
		}
	}
	return notes
}

func explanation(bit int) Explanation {
	e := flagTable[bit]
	e.Failure = Flags(1 << bit).failure()
	return e
}

// flagName is Envoy's short name (%RESPONSE_FLAGS%) of a bit, or "" of a bit that has none.
func flagName(bit int) string { return flagTable[bit].Flag }
