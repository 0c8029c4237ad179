package failover

import (
	"cmp"
	"slices"
	"strings"
)

// answersAgain is why nothing is newly taken out for what is past, as when an observer had lost its network.
const answersAgain = "it answers again"

// ejectIDCs takes out the IDCs that are down, while another one of their scope is known to be well.
func (d *decider) ejectIDCs() {
	var candidates []*item
	for i := range d.items {
		if item := &d.items[i]; item.kind == kindIDC && !item.Down && !item.held && item.bad() {
			candidates = append(candidates, item)
		}
	}
	slices.SortFunc(candidates, func(a, b *item) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.subject, b.subject))
	})
	for _, item := range candidates {
		_, scope, ok := splitIDC(item.subject)
		if _, known := d.IDCs[item.IDC]; !ok || !known {
			item.Blocked = "not among failover::idcs"
		} else if !d.otherHealthy(item.IDC, scope) {
			item.Blocked = "no other IDC is known to be healthy"
		} else if !item.failing {
			item.Blocked = answersAgain
		} else {
			d.down(item)
		}
	}
}

func (d *decider) otherHealthy(idc, scope string) bool {
	for name := range d.IDCs {
		if other := d.idcs[idcSubject(name, scope)]; name != idc && other != nil && other.well() {
			return true
		}
	}
	return false
}

// needed tells whether an IDC is the last one that is not unhealthy: it need not wait any longer.
func (d *decider) needed(i *item) bool {
	_, scope, ok := splitIDC(i.subject)
	for name := range d.IDCs {
		if other := d.idcs[idcSubject(name, scope)]; name != i.IDC && (other == nil || !other.Down && !other.bad()) {
			return false
		}
	}
	return ok
}

// well tells whether traffic may be moved to an IDC: it is known to be healthy, or a person says so. A soft hold yields.
func (i *item) well() bool {
	if i.held && !i.taken {
		return true
	}
	return i.Health == Healthy && !i.Down && !(i.held && i.hold.Hard)
}

func idcSubject(name, scope string) string { return kindIDC + "/" + name + "/" + scope }

// An IDC that comes back gets a quarter of its share at once, half of it after half its clean time, and all after the whole.
const quarter, half, all = 0.25, 0.5, 1

// returning carries over when an IDC came back, until it has its whole share.
func (d *decider) returning(i *item) {
	at, ok := d.out.Returned[i.subject]
	if !ok {
		at, ok = d.in.Before.Returned[i.subject]
	}
	clean := d.threshold(kindIDC).clean()
	if !ok || !d.within(at, clean) {
		delete(d.out.Returned, i.subject)
		return
	}
	d.out.Returned[i.subject] = at
	d.wake(at.Add(clean / 2))
	d.wake(at.Add(clean))
}

// part is how much of its share an IDC gets that is in.
func (d *decider) part(subject string) float64 {
	at, ok := d.out.Returned[subject]
	switch {
	case !ok:
		return all
	case d.in.Now.Sub(at) < d.threshold(kindIDC).clean()/2:
		return quarter
	}
	return half
}
