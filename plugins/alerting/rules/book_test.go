package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// told runs a book from time 0 on. what fires is given by name, with "-" in front if it has resolved at that time.
type told struct {
	t    *testing.T
	book book
	open []string
}

func newTold(t *testing.T) *told { return &told{t: t, book: book{told: map[uint64]*entry{}}} }

func named(name string) labels.Labels { return labels.FromStrings(labels.AlertName, name) }

func (o *told) at(seconds int, names []string, want ...string) {
	o.t.Helper()
	begin := time.Unix(1_000_000, 0)
	now := begin.Add(time.Duration(seconds) * time.Second)
	var alerts []firing
	for _, name := range names {
		alert := firing{labels: named(name), since: begin}
		if name[0] == '-' {
			alert.labels, alert.resolved = named(name[1:]), now
		}
		alerts = append(alerts, alert)
	}
	var got []string
	for _, alert := range o.book.update(now, alerts, func(l labels.Labels) bool { return slices.Contains(o.open, l.Get(labels.AlertName)) }) {
		wire := alert.wire(now, func(string) string { return "" })
		if wire.EndsAt.After(now) {
			got = append(got, wire.Labels[labels.AlertName])
		} else {
			got = append(got, "-"+wire.Labels[labels.AlertName])
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		o.t.Errorf("after %d s (-want +got):\n%s", seconds, diff)
	}
}

func TestBook(t *testing.T) {
	o := newTold(t)
	// at once, then each minute
	o.at(0, []string{"A"}, "A")
	o.at(1, []string{"A", "B"}, "B")
	o.at(59, []string{"A", "B"})
	o.at(60, []string{"A", "B"}, "A")
	o.at(61, []string{"A", "B"}, "B")
	// resolved: at once, and each minute for 15 minutes
	o.at(70, []string{"-A", "B"}, "-A")
	o.at(71, []string{"-A", "B"})
	o.at(130, []string{"-A", "B"}, "-A", "B")
	// it fires again: at once
	o.at(140, []string{"A", "B"}, "A")
	// its rule is gone
	o.at(150, []string{"B"}, "-A")
	o.at(210, []string{"B"}, "-A", "B")
	for minutes := 4; minutes <= 17; minutes++ {
		o.at(minutes*60+30, []string{"B"}, "-A", "B")
	}
	o.at(18*60+30, []string{"B"}, "B")
	// what was over before anybody was told is not told
	o.at(19*60, []string{"B", "-C"})
}

// Of what nobody knows nothing is said.
func TestBookOpen(t *testing.T) {
	o := newTold(t)
	for _, name := range []string{"A", "B", "C"} {
		o.book.remembered(firing{labels: named(name)}, time.Unix(1_000_000+30, 0))
	}
	o.open = []string{"A", "B", "C"}
	o.at(0, nil)
	o.open = []string{"B", "C"}
	o.at(1, nil, "-A")
	o.at(2, []string{"B"}, "B")
	// but that it fired, before it is taken for over; and so each minute
	o.at(29, []string{"B"})
	o.at(30, []string{"B"}, "C")
	o.at(70, nil, "-A", "B")
	o.at(90, nil, "C")
	o.open = nil
	o.at(91, nil, "-B", "-C")
}

func TestTroubles(t *testing.T) {
	var all troubles
	begin := time.Unix(1_000_000, 0)
	wrong := []trouble{newTrouble("A", "ticket", "a", "", 2*time.Second), newTrouble("B", "ticket", "b", "", 0, "rule", "x")}
	f := func(seconds int, wrong []trouble, want ...string) {
		t.Helper()
		var got []string
		for _, alert := range all.firing(begin.Add(time.Duration(seconds)*time.Second), wrong, labels.FromStrings("idc", "east")) {
			got = append(got, alert.labels.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after %d s (-want +got):\n%s", seconds, diff)
		}
	}
	a, b := `{alertname="A", idc="east", severity="ticket"}`, `{alertname="B", idc="east", rule="x", severity="ticket"}`
	// what does not last is not told
	f(0, wrong, b)
	f(1, nil)
	f(2, wrong, b)
	f(3, wrong, b)
	f(4, wrong, a, b)
	f(5, wrong[:1], a)
}
