package failover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

const (
	storiesEvery = time.Second // how often what is known of those that are out is brought up to date
	lastAfter    = time.Minute // a request is not called the last one in an alert before
)

// Diagnosis is the story of one machine or endpoint that is or was out. What is not known is zero.
type Diagnosis struct {
	Lost      time.Time         `json:"lost,omitzero"`         // when the first failed of the probes in a row that made it dead
	Failing   time.Time         `json:"failing,omitzero"`      // when its callers began to fail, to the second
	Tries     uint64            `json:"tries,omitempty"`       // of its callers, in the seconds in which they failed
	Failures  uint64            `json:"failures,omitempty"`    // of the tries
	Flags     map[string]uint64 `json:"flags,omitempty"`       // failures by each single response flag
	Out       time.Time         `json:"out"`                   // when it was taken out
	Drained   bool              `json:"drained,omitempty"`     // else it was removed
	Endpoints int               `json:"endpoints,omitempty"`   // of its own
	Clusters  int               `json:"clusters,omitempty"`    // that have one of them
	Last      time.Time         `json:"last_request,omitzero"` // when the newest request to it began, by its caller's clock
	Answers   time.Time         `json:"answers,omitzero"`      // since when its probes are well again
	Back      time.Time         `json:"back,omitzero"`         // when it was put back
}

// String tells the story in the order in which it happened.
func (d Diagnosis) String() string {
	var parts []string
	add := func(at time.Time, format string, args ...any) {
		if !at.IsZero() {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(d.Lost, "probes fail from %s", d.clock(d.Lost))
	add(d.Failing, "callers fail from %s%s", d.clock(d.Failing), d.failures())
	add(d.Out, "%s at %s%s", map[bool]string{true: "drained", false: "removed"}[d.Drained], d.clock(d.Out), d.extent())
	add(d.Last, "last request at %s", d.clock(d.Last))
	add(d.Answers, "answers from %s", d.clock(d.Answers))
	add(d.Back, "back at %s", d.clock(d.Back))
	return strings.Join(parts, ", ") + " UTC"
}

// clock is a time of the day on which it was taken out; the date is told of others.
func (d *Diagnosis) clock(t time.Time) string {
	t = t.UTC()
	if t.Truncate(24*time.Hour) != d.Out.UTC().Truncate(24*time.Hour) {
		return t.Format("2006-01-02 15:04:05.0")
	}
	return t.Format("15:04:05.0")
}

// failures are those of the callers: in numbers, or where these are left out by their flags alone.
func (d *Diagnosis) failures() string {
	flags := slices.Sorted(maps.Keys(d.Flags))
	if d.Tries == 0 {
		if len(flags) == 0 {
			return ""
		}
		return " (" + strings.Join(flags, ", ") + ")"
	}
	text := fmt.Sprintf(" (%d of %d tries", d.Failures, d.Tries)
	for i, flag := range flags {
		text += fmt.Sprintf("%s%s %d", map[bool]string{true: ": ", false: ", "}[i == 0], flag, d.Flags[flag])
	}
	return text + ")"
}

// lasting is the story as an alert tells it, which is written down and handed on each time that its words change: without what moves with every request.
func (d Diagnosis) lasting(now time.Time) Diagnosis {
	d.Tries, d.Failures = 0, 0
	if now.Sub(d.Last) < lastAfter {
		d.Last = time.Time{}
	}
	return d
}

func (d *Diagnosis) extent() string {
	if d.Endpoints == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s of %s)", plural(d.Endpoints, "endpoint"), plural(d.Clusters, "cluster"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// with is the story with what is seen now. What was known stays where nothing is seen any more: after a restart, or as it is too long ago.
func (d Diagnosis) with(seen sighting) Diagnosis {
	if d.Lost.IsZero() {
		d.Lost = seen.lost
	}
	if t := seen.trouble; t.failures > d.Failures {
		d.Tries, d.Failures, d.Flags = t.tries, t.failures, t.flags
		if d.Failing.IsZero() {
			d.Failing = t.from
		}
	}
	if seen.began.After(d.Last) {
		d.Last = seen.began
	}
	switch {
	case seen.fails:
		d.Answers = time.Time{}
	case seen.answers.After(d.Out):
		d.Answers = seen.answers
	}
	return d
}

// stories are those of what is out now.
type stories struct {
	now    atomic.Pointer[map[string]Diagnosis] // by subject; replaced, never changed
	looked time.Time
}

// resume goes on with the stories of what is out that the audit has begun to tell.
func (s *stories) resume(out map[string]xds.Out, past []Event) {
	of := map[string]Diagnosis{}
	for subject, o := range out {
		of[subject] = Diagnosis{Out: o.Since, Drained: o.Drain}
	}
	for i := range past {
		e := &past[i]
		if _, isOut := out[e.Subject]; isOut && e.Diagnosis != nil && e.Diagnosis.Back.IsZero() {
			of[e.Subject] = *e.Diagnosis
		}
	}
	s.now.Store(&of)
}

// tell writes down what is known of what was taken out with this decision, and the whole story of what was put back. see is what is seen of a subject,
// count how many endpoints and clusters each of some subjects has.
func (s *stories) tell(before, after Decision, see func(string, time.Time) sighting, count func([]string) map[string][2]int) (events []Event) {
	changed := before.Serving.Version != after.Serving.Version
	was := *s.now.Load()
	if !changed && (len(was) == 0 || after.At.Sub(s.looked).Abs() < storiesEvery) {
		return nil
	}
	s.looked = after.At
	now, begun := make(map[string]Diagnosis, len(after.Serving.Out)), []string{}
	event := func(subject string, d Diagnosis, why string) {
		events = append(events, Event{At: after.At, Kind: "diagnosis", Subject: subject, What: d.String(), Why: why, Diagnosis: &d})
	}
	for subject, out := range after.Serving.Out {
		d, known := was[subject]
		if !known {
			d.Out = after.At
			begun = append(begun, subject)
		}
		d.Drained = out.Drain
		now[subject] = d.with(see(subject, d.Out.Add(-troubleGap)))
	}
	if slices.Sort(begun); len(begun) > 0 {
		counts := count(begun)
		for _, subject := range begun {
			d := now[subject]
			d.Endpoints, d.Clusters = counts[subject][0], counts[subject][1]
			now[subject] = d
			event(subject, d, after.Serving.Out[subject].Why)
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(was)) {
		if _, still := now[subject]; !still {
			d := was[subject]
			d = d.with(see(subject, d.Out.Add(-troubleGap)))
			d.Back = after.At
			event(subject, d, before.Serving.Out[subject].Why)
		}
	}
	s.now.Store(&now)
	return events
}
