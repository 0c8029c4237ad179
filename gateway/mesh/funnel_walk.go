package mesh

import (
	"cmp"
	"slices"
	"strings"
)

// funnel is one IDC's while it is made.
type funnel struct {
	idc     string
	of      func(app string) Telemetry
	stages  map[[2]string]*stage // by from and to
	out, in map[string][]*stage  // by app

	comparable int // minutes of the past that tell what should be

	entered []*stage // from outside; what follows is there once it has been walked
	walked  []*stage // from there on
	depths  map[string]int
	inflows map[string]*inflow // by app
}

func newFunnel(idc string, comparable int, of func(app string) Telemetry) *funnel {
	return &funnel{
		idc: idc, of: of, comparable: comparable, stages: map[[2]string]*stage{}, out: map[string][]*stage{}, in: map[string][]*stage{},
		depths: map[string]int{}, inflows: map[string]*inflow{},
	}
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

// walk goes from the entries through the stages, each once: a cycle ends where it began.
func (f *funnel) walk() {
	f.entered = f.entries()
	var apps []string
	for _, s := range f.entered {
		apps = append(apps, s.to)
		f.depths[s.to] = 0
		f.inflows[s.to] = &inflow{rate: s.rate, minutes: s.minutes}
	}
	for ; len(apps) > 0; apps = apps[1:] {
		for _, s := range f.out[apps[0]] {
			f.walked = append(f.walked, s)
			if _, seen := f.depths[s.to]; !seen {
				f.depths[s.to] = f.depths[s.from] + 1
				apps = append(apps, s.to)
			}
			if f.inflows[s.to] == nil {
				f.inflows[s.to] = &inflow{minutes: unknownHour()}
			}
			f.inflows[s.to].rate += s.rate * (1 - f.missed(s))
			f.inflows[s.to].minutes.add(&s.minutes)
		}
	}
}

// hops tells of what was walked. all are the funnels of all IDCs, walked.
func (f *funnel) hops(all map[string]*funnel) (hops []Hop) {
	whole := &stage{minutes: unknownHour()}
	for _, s := range f.entered {
		whole.rate += s.rate
		whole.minutes.add(&s.minutes)
	}
	for _, s := range f.entered {
		h := s.hop(0, whole)
		f.judgeEntry(s, &h)
		hops = append(hops, h)
	}
	for _, s := range f.walked {
		h := s.hop(f.depths[s.from]+1, whole)
		h.Loss = rounded(f.missed(s))
		f.judge(s, all, &h)
		hops = append(hops, h)
	}
	slices.SortFunc(hops, func(x, y Hop) int {
		return cmp.Or(cmp.Compare(x.Depth, y.Depth), cmp.Compare(y.Rate, x.Rate), strings.Compare(x.From, y.From), strings.Compare(x.To, y.To))
	})
	return hops
}
