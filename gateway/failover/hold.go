package failover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

// out tells whether the hold wants its subject out.
func (h *Hold) out() bool { return h.Action == Eject || h.Action == Keep && h.Kept }

// text is the hold for people.
func (h *Hold) text() string {
	verb := map[Action]string{Keep: "held as it was", Eject: "taken out", Restore: "held in"}[h.Action]
	text := fmt.Sprintf("%s by %s until %s", verb, h.By, h.Until.UTC().Format(time.DateTime))
	if h.Why != "" {
		text += ": " + h.Why
	}
	return text
}

// hold does what people asked for, the oldest word first, except where nothing would be left. What the weights of an IDC yield to is in weights.go.
func (d *decider) hold() {
	var held []*item
	for i := range d.items {
		item := &d.items[i]
		if item.hold == nil {
			if item.was.Out && !item.was.Down && item.bad() && item.kind != kindDNS { // a hold that has ended leaves it out
				item.Down = true
			}
			continue
		}
		if item.held = true; !item.hold.out() {
			d.up(item)
			continue
		}
		held = append(held, item)
	}
	slices.SortFunc(held, func(a, b *item) int {
		return cmp.Or(a.hold.At.Compare(b.hold.At), strings.Compare(a.subject, b.subject))
	})
	for _, item := range held {
		item.taken = true
		if !item.bounded() {
			continue
		}
		for _, n := range d.clustersOf(item.at) {
			c := &d.clusters[n]
			unseen := c.size > len(c.members) // nobody says that those are unhealthy
			if !d.left(c) || !item.hold.Hard && !unseen && d.healthyIn(c) == 0 {
				d.up(item)
				item.taken, item.Blocked = false, "hold yields: it is the last one of "+c.name
				d.alarm("last_one", item.subject+": "+item.Blocked)
				break
			}
		}
	}
}

// drains tells whether requests under way finish: those of what is gray, or is taken out by a person while it answers.
func (i *item) drains(was xds.Out, known bool) bool {
	switch {
	case i.Health == Dead:
		return false
	case i.Health == Gray || !known:
		return true
	}
	return was.Drain
}

// whyOut is why it is out, for people. The verdict's words stay while it is healthy again and waits.
func (i *item) whyOut(was xds.Out) string {
	switch {
	case i.held:
		return i.hold.text()
	case i.bad():
		return i.cause("")
	}
	return was.Why
}
