package mesh

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Funnel is how far the requests get that enter an IDC, hop by hop. Apps are one whatever their versions.
type Funnel struct {
	IDC  string `json:"idc"`
	Hops []Hop  `json:"hops"` // by depth
}

// Hop is what one app of a funnel sends to another.
type Hop struct {
	From       string   `json:"from"` // empty: from outside
	To         string   `json:"to"`   // an app; where nobody knows it, a service
	Depth      int      `json:"depth"`
	Rate       float64  `json:"rate"` // requests per second
	UsualRate  *float64 `json:"usual_rate,omitempty"`
	Share      float64  `json:"share"` // of what enters the IDC
	UsualShare *float64 `json:"usual_share,omitempty"`
	Loss       float64  `json:"loss"` // share of it that does not arrive, as far as that is known
	Drop       Drop     `json:"drop"`
	Text       string   `json:"text"` // says in a sentence what Drop means here
}

// Telemetry is what is known of the Envoys of an app in an IDC.
type Telemetry struct {
	Ingress bool    // requests enter the IDC through them
	Gone    bool    // there were some, and none has an access-log stream now
	Missing float64 // share of what those that are there write that does not arrive
}

// stage is a hop while it is counted: all links from one app to another.
type stage struct {
	from, to                string
	rate, errors, unreached float64 // requests per second
	lost, lossOf            float64 // what did not arrive, of what it is known of
	bySource                bool    // the source reports it
	minutes                 pastHour
}

// pastHour is the rates of the last hour's minutes, the newest first; below 0: not known.
type pastHour [historyMinutes]float64

func unknownHour() (p pastHour) {
	for i := range p {
		p[i] = -1
	}
	return p
}

func (p *pastHour) add(o *pastHour) {
	for i, v := range o {
		if v >= 0 {
			p[i] = max(p[i], 0) + v
		}
	}
}

// latest are the newest n.
func (p pastHour) latest(n int) pastHour {
	for i := n; i < len(p); i++ {
		p[i] = -1
	}
	return p
}

// median is that of the minutes.
func (p *pastHour) median() (float64, bool) {
	var buffer pastHour
	known := buffer[:0]
	for _, v := range p {
		if v >= 0 {
			known = append(known, v)
		}
	}
	return median(known)
}

// shareOf is the median of the minutes' shares of those of another; minutes in which there was nothing to have a share of say nothing.
func (p *pastHour) shareOf(o *pastHour) (float64, bool) {
	var buffer pastHour
	known := buffer[:0]
	for i, v := range p {
		if o[i] > 0 && v >= 0 {
			known = append(known, v/o[i])
		}
	}
	return median(known)
}

// Funnels follows the requests from the ingresses of each IDC through the links. Where nobody says what an IDC's ingress is, requests enter at the
// apps that are called from outside, or else at those that call and are not called. Shares of before steady, when traffic was moved between IDCs,
// say nothing of what a hop should have now.
func (p *Picture) Funnels(steady time.Time, of func(idc, app string) Telemetry) []Funnel {
	apps := p.appsOfServices()
	idcs := map[string]*funnel{}
	comparable := min(historyMinutes, max(0, minuteNumber(p.At)-1-minuteNumber(steady)))
	for i := range p.Links {
		l := &p.Links[i]
		f := idcs[l.IDC]
		if f == nil {
			f = newFunnel(l.IDC, int(comparable), func(app string) Telemetry { return of(l.IDC, app) })
			idcs[l.IDC] = f
		}
		to := l.Destination.App
		if to == Unknown {
			to = cmp.Or(apps[[2]string{l.IDC, l.Destination.Service}], l.Destination.Service)
		}
		from := l.Source.App
		if from == Unknown {
			from = ""
		}
		if from != to {
			f.stage(from, to).add(l, minuteNumber(p.At))
		}
	}
	for _, f := range idcs {
		f.walk()
	}
	var funnels []Funnel
	for _, idc := range slices.Sorted(maps.Keys(idcs)) {
		if hops := idcs[idc].hops(idcs); len(hops) > 0 {
			funnels = append(funnels, Funnel{idc, hops})
		}
	}
	return funnels
}

// appsOfServices are the apps of the services that have one only, by IDC and service: so is known who a request was for that got to no host.
func (p *Picture) appsOfServices() map[[2]string]string {
	apps := map[[2]string]string{}
	for i := range p.Links {
		l := &p.Links[i]
		at := [2]string{l.IDC, l.Destination.Service}
		if app := l.Destination.App; app == Unknown {
			continue
		} else if known, ok := apps[at]; ok && known != app {
			apps[at] = ""
		} else {
			apps[at] = app
		}
	}
	return apps
}

func (s *stage) add(l *Link, now int64) {
	s.rate += l.Rate
	s.errors += l.Rate * l.Errors
	s.unreached += l.unreached
	if l.Loss != nil {
		s.lost, s.lossOf = s.lost+*l.Loss*l.Rate, s.lossOf+l.Rate
	}
	s.bySource = s.bySource || l.Reporters[0] == reporterSource.String()
	minutes := unknownHour()
	for i := range minutes {
		if m, ok := l.minute(now - 1 - int64(i)); ok {
			minutes[i] = float64(m.requests) / 60
		}
	}
	s.minutes.add(&minutes)
}

func (s *stage) hop(depth int, whole *stage) Hop {
	h := Hop{From: s.from, To: s.to, Depth: depth, Rate: rounded(s.rate)}
	if whole.rate > 0 {
		h.Share = rounded(s.rate / whole.rate)
	}
	if usual, ok := s.minutes.median(); ok {
		usual = rounded(usual)
		h.UsualRate = &usual
	}
	if usual, ok := s.minutes.shareOf(&whole.minutes); ok {
		usual = rounded(usual)
		h.UsualShare = &usual
	}
	return h
}
