package mesh

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// road is a link of a synthetic mesh: what it carries now, and what it carried in each minute of the last hour.
type road struct {
	idc              string // empty: idc1
	from, to         string // app, or app@version
	now, usual       float64
	loss             float64 // -1: not known
	errors, refused  float64 // shares
	service          string
	destinationTells bool
}

func (r road) link(number int64) Link {
	peer := func(name string) EdgePeer {
		app, version, _ := strings.Cut(name, "@")
		return EdgePeer{App: app, Version: version, Workload: name}
	}
	l := Link{
		IDC: cmp.Or(r.idc, "idc1"), Source: peer(r.from), Destination: peer(r.to), Rate: r.now, Errors: r.errors, unreached: r.refused * r.now, Reporters: []string{"source"},
	}
	l.Destination.Service = r.service
	if r.destinationTells {
		l.Reporters = []string{"destination"}
	}
	if r.loss >= 0 {
		l.Loss = &r.loss
	}
	h := history{last: number - 1}
	for i := range historyMinutes {
		wave := 1 + 0.2*float64(i%3-1) // every app alike
		h.minutes = append(h.minutes, minute{requests: uint32(60 * r.usual * wave)})
	}
	l.views = []*view{{history: h}}
	l.ID = l.identity()
	return l
}

// drops are the hops that are marked, and whether all others are not.
func drops(t *testing.T, told map[string]Telemetry, roads ...road) map[string]string {
	t.Helper()
	return dropsSince(t, time.Time{}, told, roads...)
}

// dropsAt is when.
func dropsAt() time.Time { return time.Unix(1700000000, 0) }

func dropsSince(t *testing.T, steady time.Time, told map[string]Telemetry, roads ...road) map[string]string {
	t.Helper()
	p := &Picture{At: dropsAt(), window: time.Minute}
	for _, r := range roads {
		p.Links = append(p.Links, r.link(minuteNumber(p.At)))
	}
	marked := map[string]string{}
	for _, f := range p.Funnels(steady, func(_, app string) Telemetry { return told[app] }) {
		for _, h := range f.Hops {
			if h.Drop != DropNone {
				name := h.From + " to " + h.To
				if f.IDC != "idc1" {
					name = f.IDC + ": " + name
				}
				marked[name] = string(h.Drop)
				if h.Text == "" {
					t.Errorf("%s from %s to %s without a word", h.Drop, h.From, h.To)
				}
				t.Logf("%s: %s", h.Drop, h.Text)
			} else if h.Text != "" {
				t.Errorf("no drop, and %q", h.Text)
			}
		}
	}
	return marked
}

func TestDrops(t *testing.T) {
	ingress := map[string]Telemetry{"gate": {Ingress: true}}
	f := func(what string, want map[string]string, told map[string]Telemetry, roads ...road) {
		t.Helper()
		if got := drops(t, told, roads...); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	of := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	f("all is well", nil, ingress,
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "web", to: "reviews", now: 10, usual: 10}, road{from: "reviews", to: "ratings", now: 5, usual: 5})
	f("web gets all and asks reviews no more; what reviews asks for is not its own drop", of("web to reviews", "quiet"), ingress,
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "web", to: "reviews", now: 2, usual: 10}, road{from: "reviews", to: "ratings", now: 1, usual: 5})
	f("seven of ten that web sends are lost, and reviews asks for as much less", of("web to reviews", "lost"), ingress,
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "web", to: "reviews", now: 10, usual: 10, loss: 0.7}, road{from: "reviews", to: "ratings", now: 1.5, usual: 5})
	f("no host is left, and nobody knows the app any more that the requests were for", of("web to reviews", "lost"), ingress,
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "web", to: "reviews", usual: 10, service: "reviews.default"},
		road{from: "web", to: Unknown, now: 10, service: "reviews.default", errors: 1, refused: 1}, road{from: "reviews", to: "ratings", usual: 5})
	f("what is known to be lost is the entries of reviews, not the requests", of("web to reviews", "telemetry"),
		map[string]Telemetry{"gate": {Ingress: true}, "reviews": {Missing: 0.7}},
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "web", to: "reviews", now: 10, usual: 10, loss: 0.7})
	f("web's Envoys are silent", of("web to reviews", "telemetry"), map[string]Telemetry{"gate": {Ingress: true}, "web": {Gone: true}},
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "web", to: "reviews", usual: 10})
	f("web is dead", of("gate to web", "lost"), map[string]Telemetry{"gate": {Ingress: true}, "web": {Gone: true}},
		road{from: "gate", to: "web", now: 10, usual: 10, errors: 1}, road{from: "web", to: "reviews", usual: 10})
	f("the ingress is silent", of(" to gate", "telemetry"), map[string]Telemetry{"gate": {Ingress: true, Gone: true}},
		road{from: "gate", to: "web", usual: 10})
	f("it is night", nil, ingress,
		road{from: "gate", to: "web", now: 1, usual: 10}, road{from: "web", to: "reviews", now: 1, usual: 10}, road{from: "reviews", to: "ratings", now: 0.5, usual: 5})
	f("the IDC has been shifted to 0", nil, ingress,
		road{from: "gate", to: "web", usual: 10}, road{from: "web", to: "reviews", usual: 10})
	f("the IDC gets twice its traffic, by plan", nil, ingress,
		road{from: "gate", to: "web", now: 20, usual: 10}, road{from: "web", to: "reviews", now: 20, usual: 10})
	f("of so few requests chance may keep half", nil, ingress,
		road{from: "gate", to: "web", now: 0.4, usual: 0.4}, road{from: "web", to: "reviews", now: 0.1, usual: 0.4}, road{from: "web", to: "cart", now: 0.2, usual: 0.2, loss: 0.5})
	f("a version takes another's place", nil, ingress,
		road{from: "gate", to: "web@v1", usual: 10}, road{from: "gate", to: "web@v2", now: 10}, road{from: "web@v2", to: "reviews", now: 10}, road{from: "web@v1", to: "reviews", usual: 10})
	f("reviews is called by two, of which one is quiet", of("cart to reviews", "quiet"), ingress,
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "gate", to: "cart", now: 5, usual: 5},
		road{from: "web", to: "reviews", now: 10, usual: 10}, road{from: "cart", to: "reviews", now: 0.5, usual: 5})
	f("two ingresses, one of which has moved to the other", nil, map[string]Telemetry{"gate": {Ingress: true}, "door": {Ingress: true}},
		road{from: "gate", to: "web", now: 15, usual: 10}, road{from: "door", to: "web", usual: 5}, road{from: "web", to: "reviews", now: 15, usual: 15})
	f("a cycle", of("web to reviews", "quiet"), ingress,
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "web", to: "reviews", now: 1, usual: 12}, road{from: "reviews", to: "web", now: 0.2, usual: 2},
		road{from: "web", to: "web@v2", now: 3, usual: 3})
}

// Requests that go another way, or that nobody expects, are not missing.
func TestQuietIsMissing(t *testing.T) {
	ingress := map[string]Telemetry{"gate": {Ingress: true}}
	f := func(what string, want map[string]string, roads ...road) {
		t.Helper()
		if got := drops(t, ingress, roads...); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	gates := []road{{from: "gate", to: "web", now: 5, usual: 5}, {idc: "idc2", from: "gate", to: "web", now: 20, usual: 20}}
	and := func(roads ...road) []road { return append(roads, gates...) }
	quiet := map[string]string{"web to reviews": "quiet"}
	f("web of idc2 has died, and that of idc1 is asked in its place", nil,
		and(road{from: "web", to: "reviews", now: 25, usual: 5}, road{idc: "idc2", from: "web", to: "reviews", usual: 20})...)
	f("it has come back after long, and takes its own again", nil,
		and(road{from: "web", to: "reviews", now: 5, usual: 25}, road{idc: "idc2", from: "web", to: "reviews", now: 20})...)
	f("it has come back, and nothing goes home", quiet,
		and(road{from: "web", to: "reviews", now: 5, usual: 25}, road{idc: "idc2", from: "web", to: "reviews"})...)
	f("what went home is lost there", map[string]string{"web to reviews": "quiet", "idc2: web to reviews": "lost"},
		and(road{from: "web", to: "reviews", now: 5, usual: 25}, road{idc: "idc2", from: "web", to: "reviews", now: 20, loss: 0.9})...)
	f("a little more elsewhere is chance", quiet,
		and(road{from: "web", to: "reviews", usual: 5}, road{idc: "idc2", from: "web", to: "reviews", now: 21.9, usual: 20})...)
	f("the other IDC has more since more enters it", quiet, road{from: "gate", to: "web", now: 5, usual: 5}, road{idc: "idc2", from: "gate", to: "web", now: 40, usual: 20},
		road{from: "web", to: "reviews", usual: 5}, road{idc: "idc2", from: "web", to: "reviews", now: 40, usual: 20})
	f("web is asked more, for what it answers by itself", nil,
		road{from: "gate", to: "web", now: 50, usual: 10}, road{from: "web", to: "reviews", now: 10, usual: 10})
	f("web is asked for something else", nil, road{from: "gate", to: "web", now: 10, usual: 10},
		road{from: "web", to: "reviews", now: 2, usual: 10}, road{from: "web", to: "cart", now: 8, usual: 1})
	f("web asks another, and the requests do not arrive there", map[string]string{"web to reviews": "quiet", "web to cart": "lost"}, road{from: "gate", to: "web", now: 10, usual: 10},
		road{from: "web", to: "reviews", now: 2, usual: 10}, road{from: "web", to: "cart", now: 8, usual: 1, loss: 0.9})
}

// What was before traffic was moved between IDCs is not compared with.
func TestQuietAfterAShift(t *testing.T) {
	roads := []road{{from: "gate", to: "web", now: 10, usual: 10}, {from: "web", to: "reviews", now: 2, usual: 10}}
	f := func(ago time.Duration, want int) {
		t.Helper()
		if got := dropsSince(t, dropsAt().Add(-ago), map[string]Telemetry{"gate": {Ingress: true}}, roads...); len(got) != want {
			t.Errorf("%v after the shift: got %v", ago, got)
		}
	}
	f(0, 0)
	f(usualMinutes*time.Minute, 0)
	f((usualMinutes+1)*time.Minute, 1) // five whole minutes
	f(24*time.Hour, 1)
}

// What the destination tells stands in for a silent source: nothing is missing then.
func TestDropsAreOfWhoTells(t *testing.T) {
	got := drops(t, map[string]Telemetry{"gate": {Ingress: true}, "reviews": {Missing: 0.9}},
		road{from: "gate", to: "web", now: 10, usual: 10}, road{from: "web", to: "reviews", now: 1, usual: 10, destinationTells: true})
	if want := map[string]string{"web to reviews": "telemetry"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func shape(f Funnel) (hops []string) {
	for _, h := range f.Hops {
		hops = append(hops, fmt.Sprintf("%d %s>%s %v", h.Depth, h.From, h.To, h.Share))
	}
	return hops
}

func TestFunnelShape(t *testing.T) {
	f := func(what string, want []string, told map[string]Telemetry, roads ...road) {
		t.Helper()
		p := &Picture{At: time.Unix(1700000000, 0), window: time.Minute}
		for _, r := range roads {
			p.Links = append(p.Links, r.link(minuteNumber(p.At)))
		}
		funnels := p.Funnels(time.Time{}, func(_, app string) Telemetry { return told[app] })
		if len(funnels) != 1 {
			t.Fatalf("%s: got %+v", what, funnels)
		}
		if got := shape(funnels[0]); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
		if h := funnels[0].Hops[0]; h.UsualRate == nil || h.UsualShare == nil {
			t.Errorf("%s: nothing is usual: %+v", what, h)
		}
	}
	roads := []road{
		{from: "gate", to: "web", now: 8, usual: 8},
		{from: "gate", to: "cart", now: 2, usual: 2},
		{from: "web", to: "reviews", now: 4, usual: 4},
		{from: "cart", to: "reviews", now: 2, usual: 2},
		{from: "reviews", to: "web", now: 1, usual: 1},
		{from: Unknown, to: "reviews", now: 5, usual: 5},
	}
	walk := []string{"0 >gate 1", "1 gate>web 0.8", "1 gate>cart 0.2", "2 web>reviews 0.4", "2 cart>reviews 0.2", "3 reviews>web 0.1"}
	f("an ingress; whoever else calls from outside does not enter", walk, map[string]Telemetry{"gate": {Ingress: true}}, roads...)
	f("nobody says who the ingress is: who is not called", walk, nil, roads[:5]...)
	f("one is called from outside", []string{"0 >web 1", "1 web>a 1.5", "1 web>b 1.5"}, nil,
		road{from: Unknown, to: "web", now: 2, usual: 2}, road{from: "web", to: "a", now: 3, usual: 3}, road{from: "web", to: "b", now: 3, usual: 3})
	f("an ingress behind another is none", []string{"0 >edge 1", "1 edge>gate 1", "2 gate>web 1"}, map[string]Telemetry{"edge": {Ingress: true}, "gate": {Ingress: true}},
		road{from: "edge", to: "gate", now: 3, usual: 3}, road{from: "gate", to: "web", now: 3, usual: 3})
	f("ingresses that call each other", []string{"0 >edge 0.667", "0 >gate 0.333", "1 edge>gate 0.667", "1 gate>edge 0.333"},
		map[string]Telemetry{"edge": {Ingress: true}, "gate": {Ingress: true}},
		road{from: "edge", to: "gate", now: 2, usual: 2}, road{from: "gate", to: "edge", now: 1, usual: 1})
	p := &Picture{}
	if funnels := p.Funnels(time.Time{}, func(string, string) Telemetry { return Telemetry{} }); len(funnels) != 0 {
		t.Errorf("got %+v of nothing", funnels)
	}
	p.Links = []Link{(road{from: "a", to: "b"}).link(1), (road{from: "b", to: "a"}).link(1)}
	if funnels := p.Funnels(time.Time{}, func(string, string) Telemetry { return Telemetry{} }); len(funnels) != 0 {
		t.Errorf("got %+v of a cycle without an entry", funnels)
	}
}
