package probes

import (
	"context"
	"time"
)

// Result is what became of one probe.
type Result struct {
	OK     bool
	Reason string // why OK is false, in a few words; it may hold words of the other side
	Err    error  // why the probe could not be made at all (no socket, no route from here): it says nothing of the target, and OK is false

	Took   time.Duration // from the start of the probe to its end
	Phases []Phase       // in order; none is named twice
	Values []Value       // what the kind measured besides
}

// Phase is a part of a probe's time.
type Phase struct {
	Name string // resolve, connect, tls, …
	Took time.Duration
}

// Value is one measured value under the name that blackbox_exporter gives it.
type Value struct {
	Name   string
	Label  string // one label besides those of the target; empty: none
	Is     string // the label's value
	Number float64
}

// prober makes one probe. It returns soon after ctx ends, whatever the other side does. It may be called concurrently.
type prober func(ctx context.Context, target *Target) Result

// outcome is a Result on its way from a driver to the engine.
type outcome struct {
	target *Target
	at     time.Time // when the probe began, with Go's monotonic reading

	// again marks the probe that follows a first failure at once. It can clear a subject sooner. That it failed, too, is no evidence:
	// thresholds count the probes that the interval asks for, so that a short blip is not counted twice.
	again bool

	// late marks a failure that means nothing, as this process itself was held up: it is only counted. See tardy.
	late bool

	Result
}

// driver makes the probes of many targets, in its own way.
type driver interface {
	// set tells all targets: new ones start, those that are missing end, the same pointers go on as they are. It is called by one
	// goroutine at a time, before and while run runs.
	set(targets []*Target)

	// run makes probes until ctx ends, and returns when the last of them has ended.
	run(ctx context.Context)
}

// tardy tells whether a failed probe took so much longer than its timeout that it was this process that slept (stopped, a virtual machine
// that was paused, no CPU), and not the target.
func tardy(took, timeout time.Duration) bool {
	return took > timeout+max(timeout/4, 50*time.Millisecond)
}
