package failover

import (
	"math"
	"slices"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
)

// maxWindow bounds the evidence that a window holds: that of 4 observers over a minute, once a second.
const maxWindow = 240

// entered tells whether evidence is of what the mesh saw enter an IDC.
func entered(e probes.Evidence) bool {
	return e.Traffic != nil && e.IDC != "" && e.Subject == "idc/"+e.IDC+"/entry"
}

// sample is a sum of traffic.
type sample struct {
	requests, failures uint64
	flags              map[string]uint64
	callers            map[string]uint64
	durations          []uint64 // as probes.Traffic has them
	bounds             []float64
}

func (s *sample) add(t *probes.Traffic) {
	s.requests += t.Requests
	s.failures += t.Failures
	s.flags = addCounts(s.flags, t.Flags)
	s.callers = addCounts(s.callers, t.Callers)
	if len(t.Durations) != len(t.Bounds) {
		return
	}
	if !slices.Equal(s.bounds, t.Bounds) { // the first, or of another gateway's: the newest count
		s.bounds, s.durations = t.Bounds, make([]uint64, len(t.Bounds))
	}
	for i, n := range t.Durations {
		s.durations[i] += n
	}
}

func addCounts(to, from map[string]uint64) map[string]uint64 {
	if to == nil && len(from) > 0 {
		to = make(map[string]uint64, len(from))
	}
	for name, n := range from {
		to[name] += n
	}
	return to
}

// quantile estimates the milliseconds that share q of the requests took at most, as PromQL's histogram_quantile does. It is 0 without
// durations.
func (s *sample) quantile(q float64) float64 {
	if len(s.durations) == 0 || s.durations[len(s.durations)-1] == 0 {
		return 0
	}
	rank := q * float64(s.durations[len(s.durations)-1])
	lower, below := 0.0, uint64(0)
	for i, n := range s.durations {
		switch {
		case float64(n) < rank || n == below:
		case math.IsInf(s.bounds[i], 1):
			return lower
		default:
			return lower + (s.bounds[i]-lower)*(rank-float64(below))/float64(n-below)
		}
		lower, below = s.bounds[i], n
	}
	return lower
}

// window holds the evidence of some time.
type window struct{ of []probes.Evidence }

// add takes evidence and forgets what is older than span.
func (w *window) add(e probes.Evidence, span time.Duration) {
	w.of = slices.DeleteFunc(w.of, func(old probes.Evidence) bool { return e.At.Sub(old.At) >= span })
	if len(w.of) >= maxWindow {
		w.of = slices.Delete(w.of, 0, 1)
	}
	w.of = append(w.of, e)
}

// sum adds up what was seen in the span before now.
func (w *window) sum(now time.Time, span time.Duration) (s sample) {
	for _, e := range w.of {
		if now.Sub(e.At) < span {
			s.add(e.Traffic)
		}
	}
	return s
}

// span is the time before now that the window has evidence of.
func (w *window) span(now time.Time, span time.Duration) time.Duration {
	var covered time.Duration
	for _, e := range w.of {
		if age := now.Sub(e.At); age < span {
			covered = max(covered, age+e.Traffic.Over)
		}
	}
	return min(covered, span)
}
