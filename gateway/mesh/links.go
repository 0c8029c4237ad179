package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"
	"unique"
)

// maxLinks bounds the links of a Picture.
const maxLinks = 5000

// Link is the traffic from one workload to another within the window: the edges of both reporters as one. Its figures are those of the source,
// where that reports, else of the destination.
type Link struct {
	ID               string            `json:"id"`  // the same in every gateway and after every restart
	IDC              string            `json:"idc"` // of the source
	Source           EdgePeer          `json:"source"`
	Destination      EdgePeer          `json:"destination"`
	Protocol         string            `json:"protocol"`
	Rate             float64           `json:"rate"`   // requests per second
	Errors           float64           `json:"errors"` // share of the requests, as Edge counts them
	Flags            map[string]uint64 `json:"flags"`
	DestinationFlags map[string]uint64 `json:"destination_flags,omitempty"`
	P50              float64           `json:"p50_ms"`
	P99              float64           `json:"p99_ms"`
	Loss             *float64          `json:"loss,omitempty"`       // nil: not known
	UsualRate        *float64          `json:"usual_rate,omitempty"` // the median of the last hour's minutes; nil: too few of them
	Reporters        []string          `json:"reporters"`

	views     []*view   // by who reports, the source first
	edges     []edgeKey // all that the views are of
	unreached float64   // requests per second that got to no host
}

// view is one reporter's edge.
type view struct {
	key     edgeKey
	fars    []unique.Handle[string] // IDCs of the other end
	window  window
	loss    *float64
	history history
}

// Picture is what the mesh was at one time. Nothing in it changes.
type Picture struct {
	At      time.Time
	Links   []Link // the busiest first
	LeftOut int    // links beyond maxLinks

	window time.Duration // that the links cover
	byID   map[string]*Link
}

// Picture returns all links with traffic in the window, or that usually have some.
func (a *Aggregator) Picture() *Picture {
	a.mu.Lock()
	p := &Picture{At: a.merged, byID: map[string]*Link{}}
	began := time.Unix(0, (slotNumber(a.merged)-edgeSlots+1)*int64(edgeSlotTime))
	if a.started.After(began) {
		began = a.started
	}
	p.window = max(time.Second, a.merged.Sub(began))
	views := make([]*view, 0, len(a.edges))
	for _, e := range a.edges {
		v := &view{key: e.key, window: e.window(a.merged), loss: e.lossOf(a.merged), history: e.history}
		for far := range e.hops {
			v.fars = append(v.fars, far)
		}
		views = append(views, v)
	}
	a.mu.Unlock()

	links := join(views)
	for _, l := range links {
		if l.measure(p) {
			p.Links = append(p.Links, *l)
		}
	}
	slices.SortFunc(p.Links, func(x, y Link) int { return cmp.Or(cmp.Compare(y.Rate, x.Rate), strings.Compare(x.ID, y.ID)) })
	if p.LeftOut = max(0, len(p.Links)-maxLinks); p.LeftOut > 0 {
		p.Links = p.Links[:maxLinks:maxLinks]
	}
	for i := range p.Links {
		p.byID[p.Links[i].ID] = &p.Links[i]
	}
	return p
}

// ends tell which edges of two reporters may be one link.
type ends struct {
	source, destination unique.Handle[Peer]
	idc                 unique.Handle[string] // of the source
	protocol            protocol
}

// join makes one link of what both reporters say of the same traffic. The source's word on its IDC and on the service that it called goes first:
// the destination may know the one by the other's address alone, and the other by its authority.
func join(views []*view) []*Link {
	slices.SortFunc(views, func(x, y *view) int {
		return cmp.Or(cmp.Compare(x.key.reporter.precedence(), y.key.reporter.precedence()), strings.Compare(x.key.service, y.key.service))
	})
	var links []*Link
	known := make(map[ends][]*Link, len(views))
	for _, v := range views {
		at := ends{v.key.source, v.key.destination, v.key.idc, v.key.protocol}
		joined := false
		if v.key.reporter != reporterSource {
			if len(v.fars) == 1 && v.key.reporter == reporterDestination {
				at.idc = v.fars[0]
			}
			for _, far := range append(v.fars, v.key.idc) {
				other := at
				other.idc = far
				if l := sameService(known[other], v.key.service); l != nil && !joined {
					l.join(v)
					joined = true
				}
			}
		}
		if !joined {
			l := &Link{IDC: at.idc.Value()}
			l.join(v)
			known[at] = append(known[at], l)
			links = append(links, l)
		}
	}
	return links
}

// precedence is whose word counts first.
func (r reporter) precedence() int {
	return [...]int{reporterUnknown: 3, reporterSource: 0, reporterDestination: 1, reporterWaypoint: 2}[r]
}

// sameService is the link of a service, as the other end may name it; nil: there is none.
func sameService(links []*Link, service string) *Link {
	if len(links) == 1 {
		return links[0]
	}
	short, _, _ := strings.Cut(service, ".")
	var near *Link
	for _, l := range links {
		of := l.views[0].key.service
		if of == service {
			return l
		}
		if of, _, _ := strings.Cut(of, "."); of == short && near == nil {
			near = l
		}
	}
	return near
}

// join adds a view. Of a link from one IDC to two there are two destinations, which are one here.
func (l *Link) join(v *view) {
	l.edges = append(l.edges, v.key)
	for _, other := range l.views {
		if other.key.reporter == v.key.reporter {
			other.window.add(&v.window)
			other.history = other.history.sum(v.history)
			return
		}
	}
	l.views = append(l.views, v)
}

// measure fills in the figures; false: there is nothing to tell.
func (l *Link) measure(p *Picture) bool {
	first := l.views[0].key
	for _, v := range l.views {
		l.Reporters = append(l.Reporters, v.key.reporter.String())
		if l.Loss == nil && v.loss != nil {
			loss := rounded(*v.loss)
			l.Loss = &loss
		}
		if v.key.reporter == reporterDestination && len(l.views) > 1 && len(v.window.flags) > 0 {
			l.DestinationFlags = v.window.flags
		}
	}
	w := &l.views[0].window
	for _, v := range l.views { // while the source is silent, the others need not be
		if w.requests == 0 {
			w = &v.window
		}
	}
	seconds := p.window.Seconds()
	l.Rate, l.unreached = rounded(float64(w.requests)/seconds), float64(w.unreached)/seconds
	if w.requests > 0 {
		l.Errors = rounded(float64(w.errors) / float64(w.requests))
	}
	l.Flags, l.P50, l.P99 = w.flags, rounded(quantile(.5, &w.durations)), rounded(quantile(.99, &w.durations))
	if usual, ok := l.usual(minuteNumber(p.At)); ok {
		usual = rounded(usual)
		l.UsualRate = &usual
	}
	if w.requests == 0 && (l.UsualRate == nil || *l.UsualRate == 0) {
		return false
	}
	l.Protocol = first.protocol.String()
	l.Source, l.Destination = edgePeer(first.source.Value()), edgePeer(first.destination.Value())
	l.Destination.Service = cmp.Or(first.service, Unknown)
	l.ID = l.identity()
	return true
}

// minute is a minute of the link by its number: that of the first reporter that had any requests in it.
func (l *Link) minute(number int64) (m minute, ok bool) {
	for _, v := range l.views {
		of, known := v.history.at(number)
		if known && (!ok || m.requests == 0) {
			m, ok = of, true
		}
	}
	return m, ok
}

// usual is the median of the rates of the hour before a minute.
func (l *Link) usual(now int64) (float64, bool) {
	var buffer [historyMinutes]float64
	rates := buffer[:0]
	for i := int64(1); i <= historyMinutes; i++ {
		if m, ok := l.minute(now - i); ok {
			rates = append(rates, float64(m.requests)/60)
		}
	}
	return median(rates)
}

// identity is made of what tells the link from every other.
func (l *Link) identity() string {
	s, d := &l.Source, &l.Destination
	sum := sha256.Sum256([]byte(strings.Join([]string{
		l.IDC, s.App, s.Version, s.Workload, s.Namespace, d.App, d.Version, d.Workload, d.Namespace, d.Service, l.Protocol,
	}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// rounded leaves as many digits as anybody reads.
func rounded(v float64) float64 { return math.Round(v*1000) / 1000 }

// Find is a link by its ID; nil: there is none.
func (p *Picture) Find(id string) *Link { return p.byID[id] }

// Versions are the links that differ from one in nothing but the versions of their ends, in the order of Links.
func (p *Picture) Versions(of *Link) []Link {
	versions := []Link{}
	for i := range p.Links {
		l := &p.Links[i]
		if l.ID != of.ID && l.IDC == of.IDC && l.Source.App == of.Source.App && l.Source.Namespace == of.Source.Namespace &&
			l.Destination.App == of.Destination.App && l.Destination.Namespace == of.Destination.Namespace && l.Destination.Service == of.Destination.Service {
			versions = append(versions, *l)
		}
	}
	return versions
}

// LinkMinute is one minute of a Link.
type LinkMinute struct {
	At     time.Time `json:"at"` // its beginning
	Rate   float64   `json:"rate"`
	Errors float64   `json:"errors"` // share of the requests
	P99    float64   `json:"p99_ms"`
}

// History returns the minutes of a link before the picture, at most an hour of them, the oldest first.
func (p *Picture) History(of *Link) []LinkMinute {
	history := []LinkMinute{}
	now := minuteNumber(p.At)
	for number := now - historyMinutes; number < now; number++ {
		m, ok := of.minute(number)
		if !ok {
			continue
		}
		shown := LinkMinute{At: time.Unix(number*60, 0).UTC(), Rate: rounded(float64(m.requests) / 60), P99: rounded(float64(m.p99))}
		if m.requests > 0 {
			shown.Errors = rounded(float64(m.errors) / float64(m.requests))
		}
		history = append(history, shown)
	}
	return history
}
