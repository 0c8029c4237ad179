package failover

import (
	"cmp"
	"slices"
	"strings"
)

// gather makes an item of every subject that there is an opinion, a hold or an ejection of.
func (d *decider) gather() {
	opinions := d.in.Opinions
	if !slices.IsSortedFunc(opinions, byName) {
		opinions = slices.SortedStableFunc(slices.Values(opinions), byName)
	}
	silent := d.abstaining(opinions)
	holds := d.holds()
	d.items = make([]item, 0, len(opinions)+len(holds))
	for len(opinions) > 0 {
		n := 1
		for n < len(opinions) && opinions[n].Subject == opinions[0].Subject {
			n++
		}
		d.items = d.items[:len(d.items)+1] // there is room, and an item is large
		made := &d.items[len(d.items)-1]
		made.subject = opinions[0].Subject
		d.judge(made, opinions[:n], silent)
		opinions = opinions[n:]
	}
	d.known = len(d.items)
	for subject := range holds {
		d.add(subject)
	}
	for subject, was := range d.in.Before.Verdict {
		if was.Down && d.in.Agreed == nil {
			d.add(subject)
		}
	}
	for subject, agreed := range d.in.Agreed {
		if agreed.Down || agreed.Out {
			d.add(subject)
		}
	}
	for subject := range d.in.Before.Returned {
		d.add(subject)
	}
	d.sort()
	d.idcs = map[string]*item{}
	for i := range d.items {
		item := &d.items[i]
		item.hold = holds[item.subject]
		if item.kind == kindIDC {
			d.idcs[item.subject] = item
		}
	}
}

// sort brings the items that came late to their place.
func (d *decider) sort() {
	if len(d.items) > d.known {
		slices.SortFunc(d.items, func(a, b item) int { return strings.Compare(a.subject, b.subject) })
		d.known = len(d.items)
	}
	for i := range d.items {
		d.items[i].at = i
	}
}

// find is where a subject is among the items that are sorted.
func (d *decider) find(subject string) (int, bool) {
	return slices.BinarySearchFunc(d.items[:d.known], subject, func(i item, subject string) int { return strings.Compare(i.subject, subject) })
}

// add makes an item of a subject that nobody has an opinion of: unknown, and as it was.
func (d *decider) add(subject string) {
	if _, ok := d.find(subject); ok || slices.ContainsFunc(d.items[d.known:], func(i item) bool { return i.subject == subject }) {
		return
	}
	was := d.was(subject)
	added := item{subject: subject, kind: Kind(subject), was: was, missing: true, Verdict: Verdict{IDC: was.IDC, Since: d.in.Now, Why: silentWhy}}
	if idc, _, ok := splitIDC(subject); ok {
		added.IDC = idc
	}
	if was.Health == Unknown && !was.Since.IsZero() && !was.Since.After(d.in.Now) {
		added.Since = was.Since
	}
	d.items = append(d.items, added)
}

// holds are those that hold now: of several on one subject the last.
func (d *decider) holds() map[string]*Hold {
	holds := map[string]*Hold{}
	for i := range d.in.Holds {
		hold := &d.in.Holds[i]
		if !d.in.Now.Before(hold.Until) || Kind(hold.Subject) == kindDNS {
			continue
		}
		d.wake(hold.Until)
		if other := holds[hold.Subject]; other == nil || laterHold(hold, other) {
			holds[hold.Subject] = hold
		}
	}
	return holds
}

func laterHold(a, b *Hold) bool {
	return cmp.Or(a.At.Compare(b.At), a.Until.Compare(b.Until), strings.Compare(string(a.Action), string(b.Action)), strings.Compare(a.By, b.By)) > 0
}

// byName is a whole order, so that the order of the input decides nothing.
func byName(a, b Opinion) int {
	return cmp.Or(strings.Compare(a.Subject, b.Subject), strings.Compare(a.Site, b.Site), a.Since.Compare(b.Since), strings.Compare(string(a.Health), string(b.Health)))
}
