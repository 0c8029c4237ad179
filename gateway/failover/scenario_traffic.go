package failover

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
)

// The bounds of a scenario's traffic.
const (
	scenarioRate      = 1000
	scenarioEndpoints = 1000
	scenarioCallers   = 32 // as many as the mesh tells of a cluster
)

// scenarioTraffic is what callers try all the time, as the access logs of one site tell.
type scenarioTraffic struct {
	Cluster   string   `yaml:"cluster"`
	Endpoints []string `yaml:"endpoints"`
	IDC       string   `yaml:"idc"`
	Site      string   `yaml:"site"`
	Callers   []string `yaml:"callers"`
	Rate      int      `yaml:"rate"`  // tries a second of each caller, at all endpoints that are served
	Fails     ratio    `yaml:"fails"` // of the tries, by chance
}

// check names what the traffic cannot mean, and tells how many tries it makes a second.
func (s *scenarioTraffic) check() (tries int, errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	endpoints, err := expandAll(s.Endpoints)
	if err != nil {
		add("endpoints: %w", err)
	}
	for _, endpoint := range endpoints {
		if Kind(endpoint) != kindEndpoint {
			add("endpoints: %q: must be like endpoint/ADDRESS", endpoint)
		}
	}
	callers, err := expandAll(s.Callers)
	if err != nil {
		add("callers: %w", err)
	}
	if len(endpoints) == 0 || len(endpoints) > scenarioEndpoints || len(callers) == 0 || len(callers) > scenarioCallers {
		add("must have 1 to %d endpoints and 1 to %d callers: it has %d and %d", scenarioEndpoints, scenarioCallers, len(endpoints), len(callers))
	}
	if s.Cluster == "" {
		add("cluster: missing: what the callers call the endpoints")
	}
	if s.Rate < 1 || s.Rate > scenarioRate {
		add("rate: must be from 1 to %d tries a second of each caller, is %d", scenarioRate, s.Rate)
		return 0, errs
	}
	return len(callers) * s.Rate, errs
}

// call makes a second's tries and tells the judge of the site. It goes on each second.
func (p *drill) call(s *scenarioTraffic, endpoints, callers []string) {
	p.after(graySlot, 0, func() { p.call(s, endpoints, callers) })
	served := slices.DeleteFunc(slices.Clone(endpoints), p.isOut)
	if len(served) == 0 {
		served = endpoints
	}
	seen := make([]probes.Traffic, len(served))
	for i := range seen {
		seen[i] = probes.Traffic{Over: graySlot, Cluster: s.Cluster, Flags: map[string]uint64{}, Callers: map[string]uint64{}, Failing: map[string]uint64{}}
	}
	for _, caller := range callers {
		flags := make([]func() string, len(served))
		for i, endpoint := range served {
			flags[i] = p.fate(s, endpoint, caller)
		}
		for range s.Rate {
			i := p.random.IntN(len(served))
			t, flag := &seen[i], flags[i]()
			t.Began = p.wall()
			t.Requests++
			t.Callers[caller]++
			if flag == "" {
				t.Succeeded = p.wall()
				continue
			}
			t.Failures++
			t.Failing[caller]++
			t.Flags[flag]++
		}
	}
	changed := false
	for i := range seen {
		e := probes.Evidence{Subject: served[i], IDC: s.IDC, Observer: s.Site, At: p.wall(), Next: grayFresh, Traffic: &seen[i]}
		changed = seen[i].Requests > 0 && p.judge(s.Site).Observe(e) || changed
	}
	if changed {
		p.decide()
	}
}

// isOut tells whether an endpoint, or the machine that it is on, is taken out.
func (p *drill) isOut(endpoint string) bool {
	if _, out := p.decision.Serving.Out[endpoint]; out {
		return true
	}
	for machine, endpoints := range p.machines {
		if _, out := p.decision.Serving.Out[machine]; out && slices.Contains(endpoints, endpoint) {
			return true
		}
	}
	return false
}

// fate is what becomes of each try: how it fails, or nothing.
func (p *drill) fate(s *scenarioTraffic, endpoint, caller string) func() string {
	share, flag := 0.0, "UF"
	for i := range p.faults {
		f := &p.faults[i]
		if f.Break == nil || !f.on(s.Site, p.now) || !matches(f.patterns, endpoint) || len(f.callers) > 0 && !matches(f.callers, caller) {
			continue
		}
		share, flag = cmp.Or(float64(f.Share), 1), cmp.Or(f.Flag, "UF")
	}
	return func() string {
		switch {
		case share > 0 && p.random.Float64() < share:
			return flag
		case s.Fails > 0 && p.random.Float64() < float64(s.Fails):
			return "5xx"
		}
		return ""
	}
}

// matches tells whether a name is one of the patterns'.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, name) // checked
		return ok
	})
}

// checkMachines names machines whose endpoints are none.
func (s *scenario) checkMachines() (errs []error) {
	for _, machine := range slices.Sorted(maps.Keys(s.Machines)) {
		_, err := expandAll(s.Machines[machine])
		if !strings.HasPrefix(machine, kindMachine+"/") || err != nil {
			errs = append(errs, fmt.Errorf("machines::%s: must be like machine/NAME: [endpoint/ADDRESS…]", machine))
		}
	}
	return errs
}

// allClusters are those of the scenario, and those that callers tell of.
func (p *drill) allClusters() map[string][]string {
	if len(p.scenario.Traffic) == 0 {
		return p.clusters
	}
	all := map[string][]string{}
	for _, judge := range p.judges {
		maps.Copy(all, judge.Clusters())
	}
	maps.Copy(all, p.clusters)
	return all
}

// judge is that of a site.
func (p *drill) judge(site string) *Judge {
	judge := p.judges[site]
	if judge == nil {
		judge = NewJudge(p.scenario.rules, site)
		judge.Place(p.machines)
		p.judges[site] = judge
	}
	return judge
}

// on tells whether the fault is there now, as the site sees it.
func (f *fault) on(site string, now time.Time) bool {
	since := now.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) - time.Duration(f.At)
	if f.Site != "" && f.Site != site || since < 0 {
		return false
	}
	if f.Every > 0 {
		since %= time.Duration(f.Every)
	}
	return f.For == 0 || since < time.Duration(f.For)
}
