package failover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// freeze finds the clusters and IDCs of which too many went down at once. A freeze lasts as long as so many are down.
func (d *decider) freeze() {
	for n := range d.clusters {
		if c := &d.clusters[n]; !c.rest {
			c.frozen = d.freezes(c.name, c.members)
		}
	}
	idcs := map[string][]int32{}
	for i := range d.items {
		if item := &d.items[i]; item.bounded() && item.IDC != "" {
			idcs[item.IDC] = append(idcs[item.IDC], int32(i))
		}
	}
	for _, idc := range slices.Sorted(maps.Keys(idcs)) {
		d.freezes(kindIDC+"/"+idc, idcs[idc])
	}
	for _, name := range slices.Sorted(maps.Keys(d.out.Frozen)) {
		d.alarm("freeze", name+": "+d.out.Frozen[name].Why)
	}
}

func (d *decider) freezes(name string, members []int32) bool {
	bad, recent := 0, 0
	for _, m := range members {
		item := &d.items[m]
		if !item.bad() || d.deadIDC(item.IDC) {
			continue
		}
		bad++
		if d.within(item.Since, freezeWindow) {
			recent++
		}
	}
	many := func(n int) bool { return n >= freezeLeast && n*100 > d.Safety.FreezePercent*len(members) }
	before, frozen := d.in.Before.Frozen[name]
	switch {
	case frozen && many(bad):
		d.out.Frozen[name] = before
	case many(recent):
		d.out.Frozen[name] = Freeze{d.in.Now, fmt.Sprintf("%d of %d went down within %v: nothing more is taken out while so many are down", recent, len(members), freezeWindow)}
	default:
		return false
	}
	return true
}

// deadIDC tells whether the IDC as a whole is down: that its machines are then says nothing of the observer.
func (d *decider) deadIDC(name string) bool {
	for _, scope := range []string{"entry", "mesh"} {
		if idc := d.idcs[kindIDC+"/"+name+"/"+scope]; idc != nil && idc.bad() {
			return true
		}
	}
	return false
}

// eject takes out what is unhealthy, the longest so first, as far as it is safe.
func (d *decider) eject() {
	d.neverNothing()
	var candidates []*item
	for i := range d.items {
		item := &d.items[i]
		switch {
		case item.Down || item.held || !item.bad():
		case item.kind == kindDNS:
			item.Blocked = "only alerts"
		case !item.failing:
			item.Blocked = answersAgain
		case item.bounded():
			candidates = append(candidates, item)
		}
	}
	slices.SortFunc(candidates, func(a, b *item) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.subject, b.subject))
	})
	for _, ejected := range d.in.Before.Ejected {
		if d.within(ejected, rateWindow) {
			d.out.Ejected = append(d.out.Ejected, ejected)
		}
	}
	for _, item := range candidates {
		alarm, why := d.unsafe(item)
		if item.Blocked = why; why == "" {
			d.down(item)
			d.out.Ejected = append(d.out.Ejected, d.in.Now)
		} else if alarm != "freeze" { // that has its alarm
			d.alarm(alarm, item.subject+": "+why)
		}
	}
}

// unsafe is why a machine or endpoint must not be taken out, and the alarm that tells so; empty: it may be.
func (d *decider) unsafe(item *item) (alarm, why string) {
	if frozen, ok := d.out.Frozen[kindIDC+"/"+item.IDC]; ok && item.IDC != "" && item.callers < 2 {
		return "freeze", "freeze of " + item.IDC + ": " + frozen.Why
	}
	for _, n := range d.clustersOf(item.at) {
		c := &d.clusters[n]
		if c.frozen && item.callers < 2 {
			return "freeze", "freeze of " + c.name + ": " + d.out.Frozen[c.name].Why
		}
		if d.healthyIn(c) == 0 {
			return "last_one", "no healthy one is left in " + c.name
		}
		out := 0
		for _, m := range c.members {
			if d.items[m].isOut() {
				out++
			}
		}
		if budget := max(1, c.size*d.Safety.MaxEjectionPercent/100); out >= budget {
			return "budget", fmt.Sprintf("budget: %d of %d in %s are out", out, c.size, c.name)
		}
	}
	if limit := max(rateLeast, len(d.items)*ratePercent/100); len(d.out.Ejected) >= limit {
		d.wake(d.out.Ejected[len(d.out.Ejected)-limit].Add(rateWindow))
		return "rate", fmt.Sprintf("rate: %d were taken out within a minute", len(d.out.Ejected))
	}
	return "", ""
}

// healthyIn counts those of a cluster that are in and healthy.
func (d *decider) healthyIn(c *cluster) (n int) {
	for _, m := range c.members {
		if item := &d.items[m]; !item.isOut() && (item.Health == Healthy || item.held || d.stands(item)) {
			n++
		}
	}
	return n
}

// stands tells whether gateways have no verdict on what they had nothing against, since too few of them answer.
func (d *decider) stands(item *item) bool {
	return d.in.Agreed != nil && item.Health == Unknown && !item.missing && !d.in.Agreed[item.subject].bad()
}

// left tells whether anything of a cluster is in.
func (d *decider) left(c *cluster) bool {
	return c.size > len(c.members) || slices.ContainsFunc(c.members, func(m int32) bool { return !d.items[m].isOut() })
}

// neverNothing puts back what the verdicts have out when all of a cluster is out: others have left it.
func (d *decider) neverNothing() {
	for n := range d.clusters {
		c := &d.clusters[n]
		if d.left(c) || !slices.ContainsFunc(c.members, func(m int32) bool { return !d.items[m].Provisional }) { // after a restart others are met anew
			continue
		}
		for _, m := range c.members {
			if item := &d.items[m]; !item.held {
				d.up(item)
				item.Blocked = "all of " + c.name + " would be out"
			}
		}
		d.alarm("last_one", c.name+": all would be out")
	}
}
