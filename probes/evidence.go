// Package probes sends blackbox probes and says what it saw, as Evidence. It decides nothing.
package probes

import "time"

// Evidence is one observation of one subject by one observer: the result of a probe, or what the mesh saw in a short time.
// It is a plain value: whoever gets it may keep it, but Traffic must not be changed.
type Evidence struct {
	// Subject is who was observed: machine/NAME, endpoint/ADDRESS, idc/NAME/entry (can the world reach it, through all hops),
	// idc/NAME/mesh (is it well inside) or, for answers of DNS servers, which only alert, dns/NAME.
	Subject string

	// IDC is where the subject is; empty: not told. Of subjects idc/… it is their name.
	IDC string

	// Observer is the site that saw it; empty: this gateway's own.
	Observer string

	// Probe tells the subject's probes apart, and is fit to be shown: "entry https://api.example.com/healthz 127.1.0.1:443".
	Probe string

	// Probes is how many probes the subject has, this one included. 0 means 1.
	Probes int

	// At is when the observation began, with Go's monotonic reading where it was made in this process.
	At time.Time

	// Next is the time after At within which the next observation of the same probe comes, whatever becomes of it. After it nothing is
	// known of the subject by this probe.
	Next time.Duration

	// OK tells that the subject did what the probe wants. Evidence of a probe that could not be made at all (no socket, no route
	// from here) is never sent: it says nothing of the subject.
	OK bool

	// Reason says in a few words why OK is false; empty if it is true. It may hold words of the other side: escape it where it is shown.
	Reason string

	// Traffic is what the mesh saw; nil in the result of a probe. With it OK, Probe and Probes have no meaning.
	Traffic *Traffic
}

// Traffic is what access logs told of a subject in the time Over before At.
type Traffic struct {
	Over     time.Duration
	Requests uint64
	Failures uint64            // of the requests: no response code, 5xx, gRPC status but OK, or a flag
	Flags    map[string]uint64 // requests by each single response flag
	Callers  map[string]uint64 // requests by who sent them; at most some dozens, the busiest

	// Of subjects endpoint/ADDRESS, where a request is one try of it at this endpoint.
	Cluster   string            // what the callers call the endpoints among which they chose; an endpoint may be in several
	Failing   map[string]uint64 // failures by caller, of those in Callers
	Succeeded time.Time         // when the last one that succeeded ended, by its caller's clock, but not after At; zero: none did
	Began     time.Time         // when the newest try began, by the same clock

	// Durations counts requests by their time in milliseconds, cumulative as Prometheus has them: Durations[i] took at most Bounds[i].
	Durations []uint64
	Bounds    []float64
}
