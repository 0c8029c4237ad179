package failover

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Changes are the audit's lines from one decision to the next, in a stable order: what was held of subjects, what became of them, weights,
// freezes, alarms. Who is empty in all of them: what people do has lines of its own.
func Changes(before, after Decision) []Event {
	c := changes{at: after.At}
	for _, subject := range moved(before, after) {
		c.verdict(subject, before.Verdict[subject], after.Verdict[subject], before, after)
	}
	for _, idc := range keys(before.Serving.IDCs, after.Serving.IDCs) {
		was, is := before.Serving.IDCs[idc], after.Serving.IDCs[idc]
		c.weight(idcSubject(idc, "entry"), was.Entry, is.Entry, was.Why, is.Why)
		c.weight(idcSubject(idc, "mesh"), was.Mesh, is.Mesh, was.Why, is.Why)
	}
	for _, name := range keys(before.Frozen, after.Frozen) {
		c.turn("freeze", name, before.Frozen[name].Why, after.Frozen[name].Why)
	}
	for _, name := range keys(before.Alarms, after.Alarms) {
		c.turn("alarm", name, before.Alarms[name], after.Alarms[name])
	}
	return c.events
}

// changes are the lines so far.
type changes struct {
	at     time.Time
	events []Event
}

func (c *changes) add(e Event) {
	e.At = c.at
	c.events = append(c.events, e)
}

// weight tells that a weight changes. wasWhy is empty at the start.
func (c *changes) weight(subject string, was, is uint32, wasWhy, why string) {
	switch {
	case wasWhy == "":
		c.add(Event{Kind: "weights", Subject: subject, What: percent(is), Why: why})
	case was != is:
		c.add(Event{Kind: "weights", Subject: subject, What: percent(was) + " → " + percent(is), Why: why, Undoes: wasWhy})
	}
}

// turn tells that a freeze or an alarm begins or ends. That its words change is no news.
func (c *changes) turn(kind, name, was, is string) {
	switch {
	case was == "" && is != "":
		c.add(Event{Kind: kind, Subject: name, What: "begins", Why: is})
	case was != "" && is == "":
		c.add(Event{Kind: kind, Subject: name, What: "ends", Undoes: was})
	}
}

func (c *changes) verdict(subject string, was, is Verdict, before, after Decision) {
	if was.Health != is.Health && (Kind(subject) == kindIDC && was.Health != Unknown || was.bad() || is.bad()) { // else it is a start, or a pause
		c.add(Event{Kind: "verdict", Subject: subject, What: was.Health.word() + " → " + is.Health.word(), Why: is.Why})
	}
	switch {
	case is.Out && !was.Out:
		c.add(Event{Kind: "ejected", Subject: subject, What: "taken out" + how(subject, after), Why: is.cause(outWhy(subject, after)), Expires: after.Release[subject]})
	case was.Out && !is.Out:
		c.add(Event{Kind: "returned", Subject: subject, What: "put back", Why: is.cause(is.Blocked), Undoes: was.cause(outWhy(subject, before))})
	case is.Out && before.Serving.Out[subject].Drain != after.Serving.Out[subject].Drain:
		c.add(Event{Kind: "ejected", Subject: subject, What: "taken out otherwise" + how(subject, after), Why: is.cause("")})
	}
	if is.Blocked != "" && reason(is.Blocked) != reason(was.Blocked) && !strings.HasPrefix(is.Blocked, "freeze") { // that has a line of its own
		c.add(Event{Kind: "verdict", Subject: subject, What: "not taken out", Why: is.Blocked})
	}
}

// outWhy is why a subject is out, as it is served.
func outWhy(subject string, d Decision) string {
	if idc, _, ok := splitIDC(subject); ok {
		return d.Serving.IDCs[idc].Why
	}
	return d.Serving.Out[subject].Why
}

// reason is what kind of obstacle it is, without its numbers.
func reason(blocked string) string {
	reason, _, _ := strings.Cut(blocked, ":")
	return reason
}

func how(subject string, d Decision) string {
	out, ok := d.Serving.Out[subject]
	switch {
	case !ok:
		return ""
	case out.Drain:
		return ": drained"
	}
	return ": removed"
}

// cause is why a subject is where it is: other words if there are, else the verdict.
func (v Verdict) cause(other string) string {
	if other != "" {
		return other
	}
	if v.Since.IsZero() {
		return "nothing is known of it any more"
	}
	text := v.Health.word() + " since " + v.Since.UTC().Format(time.TimeOnly) + " UTC"
	if v.Why != "" {
		text += ": " + v.Why
	}
	return text
}

func (v Verdict) bad() bool { return v.Health == Dead || v.Health == Gray }

func (h Health) word() string {
	if h == Unknown {
		return "unknown"
	}
	return string(h)
}

// moved are the subjects whose verdict has changed, sorted. There may be many that have not; if none has, both decisions have the same map.
func moved(before, after Decision) (subjects []string) {
	if reflect.ValueOf(before.Verdict).UnsafePointer() == reflect.ValueOf(after.Verdict).UnsafePointer() {
		return nil
	}
	still := 0
	for subject, is := range after.Verdict {
		was, known := before.Verdict[subject]
		if known {
			still++
		}
		if was != is {
			subjects = append(subjects, subject)
		}
	}
	if still < len(before.Verdict) {
		for subject := range before.Verdict {
			if _, ok := after.Verdict[subject]; !ok {
				subjects = append(subjects, subject)
			}
		}
	}
	slices.Sort(subjects)
	return subjects
}

// keys are those of both maps, sorted.
func keys[V any](a, b map[string]V) []string {
	both := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(both)
	return slices.Compact(both)
}
