package failover

import (
	"maps"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

// Decide says what is to be served. It is a pure function: the same input, in whatever order, gives the same decision, and deciding again on top
// of a decision changes nothing. It changes nothing of the input.
func (r Rules) Decide(in Input) Decision {
	d := &decider{Rules: r, in: in, alarms: map[string][]string{}, out: Decision{
		At:     in.Now,
		Alarms: map[string]string{}, Frozen: map[string]Freeze{}, Falls: map[string][]time.Time{},
		Returned: map[string]time.Time{}, Release: map[string]time.Time{},
	}}
	d.gather()
	d.group()
	d.freeze()
	d.back()
	d.hold()
	d.ejectIDCs()
	d.eject()
	d.serve()
	return d.out
}

// Next is when Decide must be asked again at the latest, though no opinion, hold or shift has changed. Zero: not by itself.
func (r Rules) Next(d Decision, holds []Hold) time.Time {
	next := d.Next
	for _, hold := range holds {
		if next.IsZero() || hold.Until.Before(next) {
			next = hold.Until
		}
	}
	return next
}

// Loaded is what holds of a decision after a restart: all that was out stays out, but provisionally. What would have been out in mode act is not
// taken out by a mode that has changed since, but when it is seen dead again.
func Loaded(d Decision) Decision {
	d.Verdict = maps.Clone(d.Verdict)
	for subject, v := range d.Verdict {
		if v.Down {
			v.Down, v.Provisional = v.Out, v.Out
			d.Verdict[subject] = v
		}
	}
	return d
}

// decider is one decision in the making.
type decider struct {
	Rules
	in    Input
	out   Decision
	items []item           // by name
	known int              // how many of them are sorted: all, once they are gathered
	idcs  map[string]*item // of the subjects idc/…

	clusters []cluster
	first    []int32 // the clusters of item i are of[first[i]:first[i+1]]
	of       []int32

	bad, good, failing []*Opinion // buffers of judge

	allAbstain bool
	alarms     map[string][]string
	quiet      bool // no alarm is raised
}

// item is a subject in the making.
type item struct {
	Verdict
	subject string
	at      int // among the items
	kind    string
	was     Verdict
	hold    *Hold
	held    bool // a person's word decides, as taken says
	taken   bool
	callers int
	missing bool // nobody has an opinion of it
	failing bool // unhealthy, and does not answer again
}

// isOut tells whether it is out in the decision as it were if all kinds acted.
func (i *item) isOut() bool {
	if i.held {
		return i.taken
	}
	return i.Down
}

// wake makes sure that it is decided again at t, if that is to come.
func (d *decider) wake(t time.Time) {
	if t.After(d.in.Now) && (d.out.Next.IsZero() || t.Before(d.out.Next)) {
		d.out.Next = t
	}
}

// within tells whether t was within the last so long. What seems to come from the future, since a clock was set back, was not.
func (d *decider) within(t time.Time, window time.Duration) bool {
	age := d.in.Now.Sub(t)
	return age >= 0 && age < window
}

// back lets return what is healthy again for long enough, and what a restart has left and nothing confirms.
func (d *decider) back() {
	for i := range d.items {
		d.items[i].Down = d.items[i].was.Down
	}
	for i := range d.items {
		item := &d.items[i]
		falls := d.falls(item.subject)
		if !item.Down {
			d.returning(item)
			continue
		}
		switch {
		case item.bad():
			continue
		case item.Health == Healthy:
			clean := d.threshold(item.kind).clean()
			wait := clean * time.Duration(min(1<<max(falls-1, 0), flapMost)-1)
			if item.was.Provisional {
				wait, item.Provisional = max(wait, clean), true
			}
			if item.Hold = item.Since.Add(wait); d.in.Now.Before(item.Hold) && !d.needed(item) {
				d.wake(item.Hold)
				continue
			}
		default:
			if !d.release(item) {
				continue
			}
		}
		d.up(item)
		if item.kind == kindIDC {
			d.out.Returned[item.subject] = d.in.Now
			d.returning(item)
		}
	}
}

// release tells whether an unknown one that is down has waited in vain for a word: only after a restart, or when it is forgotten.
func (d *decider) release(item *item) bool {
	if !item.was.Provisional && !item.missing {
		return false
	}
	until, ok := d.in.Before.Release[item.subject]
	if latest := d.in.Now.Add(provisionalTime); !ok || until.After(latest) {
		until = latest
	}
	if !d.in.Now.Before(until) {
		return true
	}
	item.Provisional = true
	d.out.Release[item.subject] = until
	d.wake(until)
	return false
}

// falls carries over when the subject fell in the last hour, and counts.
func (d *decider) falls(subject string) int {
	var recent []time.Time
	for _, fall := range d.in.Before.Falls[subject] {
		if d.within(fall, flapMemory) {
			recent = append(recent, fall)
		}
	}
	if len(recent) > 0 {
		d.out.Falls[subject] = recent
	}
	return len(recent)
}

// up ends that the verdicts have an item out.
func (d *decider) up(item *item) {
	item.Down, item.Provisional, item.Hold = false, false, time.Time{}
	delete(d.out.Release, item.subject)
}

// down takes an item out.
func (d *decider) down(item *item) {
	item.Down = true
	delete(d.out.Returned, item.subject)
	if falls := append(d.out.Falls[item.subject], d.in.Now); len(falls) <= 8 {
		d.out.Falls[item.subject] = falls
	} else {
		d.out.Falls[item.subject] = falls[1:]
	}
}

// serve writes the decision down.
func (d *decider) serve() {
	verdicts := written{all: d.in.Before.Verdict}
	for i := range d.items {
		item := &d.items[i]
		item.Out = item.isOut() && (item.held || d.Act[item.kind])
		if item.Down && !item.Out && !item.held {
			item.Blocked = "mode observe"
		}
		if item.missing && !item.Down && !item.held {
			verdicts.drop(item.subject)
		} else if item.Verdict != item.was || item.was.Since.IsZero() || d.in.Agreed != nil && item.Verdict != d.in.Before.Verdict[item.subject] {
			verdicts.own(len(d.items))[item.subject] = item.Verdict
		}
	}
	if len(verdicts.all) > len(d.items) {
		maps.DeleteFunc(verdicts.own(0), func(subject string, _ Verdict) bool { _, ok := d.find(subject); return !ok })
	}
	if d.out.Verdict = verdicts.all; d.out.Verdict == nil {
		d.out.Verdict = map[string]Verdict{}
	}
	d.out.Would = d.serving(d.in.Before.Would, (*item).isOut, true)
	d.quiet = true // what would be has raised them all
	d.out.Serving = d.serving(d.in.Before.Serving, func(item *item) bool { return item.Out }, d.Act[kindIDC])
	d.sound()
}

// written is the verdicts as they were, copied when the first one changes: mostly none does, and to write all of them costs much.
type written struct {
	all  map[string]Verdict
	ours bool
}

// own is the copy, with room for n when there was nothing.
func (w *written) own(n int) map[string]Verdict {
	if !w.ours {
		if w.all, w.ours = maps.Clone(w.all), true; w.all == nil {
			w.all = make(map[string]Verdict, n)
		}
	}
	return w.all
}

func (w *written) drop(subject string) {
	if _, ok := w.all[subject]; ok {
		delete(w.own(0), subject)
	}
}

// serving is what is served when those are out, and verdicts on IDCs act or do not.
func (d *decider) serving(before xds.Serving, out func(*item) bool, act bool) xds.Serving {
	s := xds.Serving{Version: before.Version, At: before.At, Out: d.outs(before, out)}
	s.IDCs, s.Degraded = d.weights(act)
	if s.Version > 0 && s.Degraded == before.Degraded && maps.Equal(s.Out, before.Out) && maps.Equal(s.IDCs, before.IDCs) {
		return before
	}
	s.At = d.in.Now
	s.Version = max(before.Version+1, uint64(max(d.in.Now.UnixMilli(), 1)))
	return s
}

// outs are the machines and endpoints among those that are out.
func (d *decider) outs(before xds.Serving, out func(*item) bool) map[string]xds.Out {
	var outs map[string]xds.Out
	for i := range d.items {
		item := &d.items[i]
		if item.kind != kindMachine && item.kind != kindEndpoint || !out(item) {
			continue
		}
		if outs == nil {
			outs = map[string]xds.Out{}
		}
		was, ok := before.Out[item.subject]
		now := xds.Out{Drain: item.drains(was, ok), Since: d.in.Now, Why: item.whyOut(was)}
		if ok {
			now.Since = was.Since
		}
		outs[item.subject] = now
	}
	return outs
}
