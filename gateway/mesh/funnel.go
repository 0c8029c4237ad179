package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strings"
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
// apps that are called from outside, or else at those that call and are not called.
func (p *Picture) Funnels(of func(idc, app string) Telemetry) []Funnel {
	apps := p.appsOfServices()
	idcs := map[string]*funnel{}
	for i := range p.Links {
		l := &p.Links[i]
		f := idcs[l.IDC]
		if f == nil {
			f = &funnel{idc: l.IDC, of: func(app string) Telemetry { return of(l.IDC, app) }, stages: map[[2]string]*stage{}, out: map[string][]*stage{}, in: map[string][]*stage{}}
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
	var funnels []Funnel
	for _, idc := range slices.Sorted(maps.Keys(idcs)) {
		if hops := idcs[idc].hops(); len(hops) > 0 {
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

// funnel is one IDC's while it is made.
type funnel struct {
	idc     string
	of      func(app string) Telemetry
	stages  map[[2]string]*stage // by from and to
	out, in map[string][]*stage  // by app
}

func (f *funnel) stage(from, to string) *stage {
	at := [2]string{from, to}
	s := f.stages[at]
	if s == nil {
		s = &stage{from: from, to: to, minutes: unknownHour()}
		f.stages[at] = s
		f.out[from], f.in[to] = append(f.out[from], s), append(f.in[to], s)
	}
	return s
}

// entries are the apps at which requests enter, as stages from outside.
func (f *funnel) entries() (entries []*stage) {
	var ingresses, called, calling []string
	for app := range f.out {
		if app == "" {
			continue
		}
		if f.of(app).Ingress {
			ingresses = append(ingresses, app)
		}
		if len(f.in[app]) == 0 {
			calling = append(calling, app)
		}
	}
	for _, s := range f.out[""] {
		called = append(called, s.to)
		if len(f.out[s.to]) == 0 && f.of(s.to).Ingress {
			ingresses = append(ingresses, s.to)
		}
	}
	apps := ingresses
	if first := slices.DeleteFunc(slices.Clone(ingresses), f.behindIngress); len(first) > 0 {
		apps = first
	}
	if len(apps) == 0 {
		apps = called
	}
	if len(apps) == 0 {
		apps = calling
	}
	for _, app := range apps {
		entries = append(entries, f.entry(app))
	}
	return entries
}

// behindIngress tells whether an ingress is called by another.
func (f *funnel) behindIngress(app string) bool {
	return slices.ContainsFunc(f.in[app], func(s *stage) bool { return s.from != "" && f.of(s.from).Ingress })
}

// entry is what enters at an app. An ingress tells of each request once, as it passes it on; what another app was asked may be more or less than
// what it asks of others.
func (f *funnel) entry(app string) *stage {
	outside, inside := f.stages[[2]string{"", app}], f.out[app]
	if outside != nil && (len(inside) == 0 || !f.of(app).Ingress) {
		return outside
	}
	sum := &stage{to: app, minutes: unknownHour(), bySource: true}
	for _, s := range inside {
		sum.rate += s.rate
		sum.minutes.add(&s.minutes)
	}
	return sum
}

// hops walks from the entries, each stage once: a cycle ends where it began.
func (f *funnel) hops() []Hop {
	entries := f.entries()
	whole := &stage{minutes: unknownHour()}
	inflows := map[string]*inflow{}
	depths := map[string]int{}
	var apps []string
	for _, s := range entries {
		whole.rate += s.rate
		whole.minutes.add(&s.minutes)
		apps = append(apps, s.to)
		depths[s.to] = 0
		inflows[s.to] = &inflow{rate: s.rate, minutes: s.minutes}
	}
	var walked []*stage
	for ; len(apps) > 0; apps = apps[1:] {
		for _, s := range f.out[apps[0]] {
			walked = append(walked, s)
			if _, seen := depths[s.to]; !seen {
				depths[s.to] = depths[s.from] + 1
				apps = append(apps, s.to)
			}
			if inflows[s.to] == nil {
				inflows[s.to] = &inflow{minutes: unknownHour()}
			}
			inflows[s.to].rate += s.rate * (1 - f.missed(s))
			inflows[s.to].minutes.add(&s.minutes)
		}
	}
	var hops []Hop
	for _, s := range entries {
		h := s.hop(0, whole)
		f.judgeEntry(s, &h)
		hops = append(hops, h)
	}
	for _, s := range walked {
		h := s.hop(depths[s.from]+1, whole)
		h.Loss = rounded(f.missed(s))
		f.judge(s, inflows[s.from], &h)
		hops = append(hops, h)
	}
	slices.SortFunc(hops, func(x, y Hop) int {
		return cmp.Or(cmp.Compare(x.Depth, y.Depth), cmp.Compare(y.Rate, x.Rate), strings.Compare(x.From, y.From), strings.Compare(x.To, y.To))
	})
	return hops
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
