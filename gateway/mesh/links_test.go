package mesh

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// failed makes a request one that was refused.
func failed(r *accesslogdatav3.HTTPAccessLogEntry) {
	r.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true}
	r.Response.ResponseCode = wrapperspb.UInt32(503)
}

// Both reporters, in two IDCs and with other names of the service, are one link: the source's.
func TestLinkOfBothReporters(t *testing.T) {
	e := newTwoEnds(t)
	e.received(-130 * time.Second) // so that it is known who is there
	e.flush(-125 * time.Second)
	for i := range 10 {
		var change func(*accesslogdatav3.HTTPAccessLogEntry)
		if i == 0 {
			change = failed
		} else {
			e.received(0)
		}
		e.sent(0, 1, change)
	}
	e.flush(10 * time.Second)
	p := e.a.Picture()
	if len(p.Links) != 1 {
		t.Fatalf("got %d links: %+v", len(p.Links), p.Links)
	}
	l := p.Links[0]
	if l.IDC != "idc-a" || l.Rate != 1 || l.Errors != 0.1 || l.P99 == 0 || l.UsualRate != nil ||
		!reflect.DeepEqual(l.Flags, map[string]uint64{"UF": 1}) || !reflect.DeepEqual(l.Reporters, []string{"source", "destination"}) {
		t.Errorf("got %+v", l)
	}
	if l.unreached != 0.1 {
		t.Errorf("got %v unreached a second", l.unreached)
	}
	if l.Source.Workload != "web-v1" || l.Destination.Workload != "reviews-v1" || l.Destination.Service != "reviews.default.svc.cluster.local" {
		t.Errorf("got %+v to %+v", l.Source, l.Destination)
	}
	if found := p.Find(l.ID); found == nil || found.Rate != 1 || len(l.ID) != 16 {
		t.Errorf("id %q: found %+v", l.ID, found)
	}
	if p.Find("0000000000000000") != nil {
		t.Error("found what is not there")
	}
	e.flush(30 * time.Second) // the slots of the loss are complete
	if l = e.a.Picture().Links[0]; l.Loss == nil || *l.Loss != 0.1 {
		t.Errorf("one of ten was lost, got %+v", l)
	}
}

// An ID does not depend on the process, the order or the time.
func TestLinkIDIsStable(t *testing.T) {
	l := Link{
		IDC: "idc1", Protocol: "http", Source: EdgePeer{Workload: "web-v1", Namespace: "default", App: "web", Version: "v1"},
		Destination: EdgePeer{Workload: "reviews-v2", Namespace: "default", App: "reviews", Version: "v2", Service: "reviews.default.svc.cluster.local"},
	}
	if got, want := l.identity(), "4ab10b86b800edc8"; got != want {
		t.Errorf("got %s, want %s: links that people have kept lead nowhere", got, want)
	}
}

// A link that only one end reports is that end's.
func TestLinkOfOneReporter(t *testing.T) {
	e := newTwoEnds(t)
	e.received(0)
	e.flush(time.Second)
	p := e.a.Picture()
	if len(p.Links) != 1 || p.Links[0].IDC != "idc-a" || !reflect.DeepEqual(p.Links[0].Reporters, []string{"destination"}) || p.Links[0].Rate != 1 {
		t.Errorf("got %+v", p.Links)
	}
}

// What is usual is the median of whole minutes, and shows when a link goes silent; another minute of a silent source is the destination's.
func TestUsualRate(t *testing.T) {
	e := newTwoEnds(t)
	e.start = e.start.Truncate(time.Minute)
	minute := func(i, sent, received int, sees func(*Picture)) {
		t.Helper()
		at := time.Duration(i)*time.Minute + 30*time.Second
		for range sent {
			e.sent(at, 1, nil)
		}
		for range received {
			e.received(at)
		}
		e.flush(at)
		sees(e.a.Picture())
		e.flush(at + 29*time.Second)
	}
	usual := func(want string) func(*Picture) {
		return func(p *Picture) {
			t.Helper()
			got := "unknown"
			if len(p.Links) != 1 {
				t.Fatalf("got %+v", p.Links)
			}
			if p.Links[0].UsualRate != nil {
				got = fmt.Sprint(*p.Links[0].UsualRate)
			}
			if got != want {
				t.Errorf("at %v: got %s, want %s", p.At, got, want)
			}
		}
	}
	minute(0, 600, 0, usual("unknown")) // it began in this one
	for i := 1; i <= 5; i++ {
		minute(i, 60*i, 60, usual("unknown"))
	}
	minute(6, 0, 0, usual("3"))
	minute(7, 0, 0, usual("2.5"))
	minute(8, 0, 60, func(p *Picture) { // the source is silent
		if p.Links[0].Rate == 0 {
			t.Errorf("got %+v", p.Links[0])
		}
		history := p.History(&p.Links[0])
		if len(history) != 7 || history[0].Rate != 1 || history[4].Rate != 5 || history[5].Rate != 0 || !history[0].At.Equal(e.start.Add(time.Minute)) {
			t.Errorf("got %+v", history)
		}
		if history[0].P99 == 0 {
			t.Error("a minute without its p99")
		}
	})
	for i := 9; i < 80; i++ {
		minute(i, 120, 120, func(p *Picture) {
			if i == 79 {
				usual("2")(p)
				if n := len(p.History(&p.Links[0])); n != historyMinutes {
					t.Errorf("%d minutes", n)
				}
			}
		})
	}
	// Nobody looked for a while: what was before is no history of the minutes since.
	e.sent(90*time.Minute, 1, nil)
	e.flush(90 * time.Minute)
	usual("unknown")(e.a.Picture())
}

func TestHistoryIsReadWhileItGrows(t *testing.T) {
	var h history
	for i := range 200 {
		before := h
		h.add(minute{requests: uint32(i)})
		for number := before.last - 70; number <= before.last; number++ {
			if m, ok := before.at(number); ok && int64(m.requests) != number-1 {
				t.Fatalf("minute %d: got %d", number, m.requests)
			}
		}
		if len(h.minutes) > historyMinutes {
			t.Fatalf("%d minutes", len(h.minutes))
		}
	}
	if n := cap(h.minutes); n > 2*historyMinutes {
		t.Errorf("room for %d minutes", n)
	}
}

// Whatever a client calls itself, the answer is JSON.
func TestLinksOfHostileNames(t *testing.T) {
	now := time.Unix(1700000000, 0)
	a := New(Options{}, now)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", `</script><img src=x onerror=alert(1)>"\`, "version", "\u2028\x00\x1b[31m"))
	add(t, s, message(t, request(nil)))
	a.mergeStreams(now)
	p := a.Picture()
	text, err := json.Marshal(p.Links)
	if err != nil || len(p.Links) != 1 {
		t.Fatal(err, p.Links)
	}
	for _, c := range text {
		if c < ' ' || c == '<' {
			t.Fatalf("got %s", text)
		}
	}
}

func TestMedian(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		for range 100 {
			values := make([]float64, n)
			for i := range values {
				values[i] = float64(random.IntN(20))
			}
			sorted := slices.Sorted(slices.Values(values))
			got, ok := median(values)
			if ok != (n >= usualMinutes) || ok && got != (sorted[(n-1)/2]+sorted[n/2])/2 {
				t.Fatalf("of %v: %v, %v", sorted, got, ok)
			}
		}
	}
}
