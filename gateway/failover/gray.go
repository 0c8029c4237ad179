package failover

import (
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
)

// What is not worth a knob.
const (
	graySlot     = time.Second      // how evidence is counted: as often as the mesh tells it
	grayWindow   = 16               // slots that are remembered, and the longest span that is looked at
	graySilence  = 10 * time.Second // an endpoint that nobody tried for so long is unknown
	grayFresh    = 3 * time.Second  // how long what callers say of an endpoint stands beside or against a probe
	grayAgreeing = 2                // callers without one success that agree with a probe
)

// gray judges endpoints by what the mesh saw of them. An endpoint is gray while it fails more than the other endpoints of its cluster, as
// several callers see it, and by more than chance: pool.blames has the test. It is never dead by that alone.
//
// One that is taken out is tried by nobody, so nothing can clear it. It becomes healthy when it was not gray for the clean time of its kind,
// and is on trial then: until it has been tried for as long without being gray again, one second and less surprise are enough to
// take it out again, and Decide makes it wait twice as long.
type gray struct {
	site      string
	clean     time.Duration
	began     time.Time // the middle of slot 0
	pools     map[string]*pool
	endpoints map[string]*tried
	sorted    []*tried            // by subject
	machines  map[string][]string // the endpoints on each
	due       time.Time           // see next
}

// tried is an endpoint that somebody has tried.
type tried struct {
	Opinion
	pools     []*pool
	last      time.Time // evidence
	blamed    time.Time // when it was gray for the last time
	trial     bool
	until     time.Time // the end of its trial; zero: it has not been tried since
	succeeded time.Time
	began     time.Time // the newest try
	trouble   trouble
}

func newGray(rules Rules, site string) *gray {
	return &gray{site: site, clean: rules.threshold(kindEndpoint).clean(), pools: map[string]*pool{}, endpoints: map[string]*tried{}}
}

// observe takes in what was seen of an endpoint in about a second. It tells whether to look at it at once. What is older than the window, or
// not of an endpoint, is overlooked.
func (g *gray) observe(e probes.Evidence) bool {
	if Kind(e.Subject) != kindEndpoint || e.Traffic == nil || e.Traffic.Requests == 0 {
		return false
	}
	if g.began.IsZero() {
		g.began = e.At
	}
	t := g.endpoints[e.Subject]
	if t == nil {
		t = g.meet(e)
	}
	p := g.pools[e.Traffic.Cluster]
	if p == nil {
		p = newPool(strings.Clone(e.Traffic.Cluster))
		g.pools[p.name] = p
	}
	if !p.add(t, g.slot(e.At), e.Traffic) {
		return false
	}
	if !slices.Contains(t.pools, p) {
		t.pools = append(t.pools, p)
	}
	if e.At.After(t.last) {
		t.last = e.At
	}
	t.succeeded, t.began = maxTime(t.succeeded, e.Traffic.Succeeded), maxTime(t.began, e.Traffic.Began)
	t.trouble.observe(&e)
	if t.IDC = e.IDC; t.trial && t.until.IsZero() {
		t.until = e.At.Add(g.clean)
	}
	return t.Health != Healthy || float64(e.Traffic.Failures) >= grayGap*float64(e.Traffic.Requests)
}

// slot is the number of the slot that a time is in. Evidence comes in the middle of its slot, so that it may come a little early or late.
func (g *gray) slot(at time.Time) int64 {
	return int64((at.Sub(g.began) + graySlot/2) / graySlot)
}

func (g *gray) meet(e probes.Evidence) *tried {
	t := &tried{Opinion: Opinion{Subject: strings.Clone(e.Subject), IDC: e.IDC, Site: g.site, Since: e.At}}
	g.endpoints[t.Subject] = t
	at, _ := slices.BinarySearchFunc(g.sorted, t.Subject, func(t *tried, subject string) int { return strings.Compare(t.Subject, subject) })
	g.sorted = slices.Insert(g.sorted, at, t)
	return t
}

// judge makes up all opinions as of now, and forgets what has been unknown for an hour.
func (g *gray) judge(now time.Time) {
	forgotten := false
	for _, p := range g.pools {
		p.takeBack(g.slot(now.Add(futureSlack)))
	}
	for _, t := range g.sorted {
		if t.last.After(now.Add(futureSlack)) {
			t.last = now
		}
		g.judgeOne(t, now)
		forgotten = forgotten || t.forgotten(now)
	}
	if forgotten {
		g.forget(now)
	}
	g.due = g.next(now)
}

func (g *gray) judgeOne(t *tried, now time.Time) {
	health, why := g.health(t, now)
	t.Tried = t.trial || health == Gray || health == Healthy && t.enough()
	if health == Gray && t.Health == Gray {
		return // the first words stay
	}
	if health != t.Health {
		t.Health, t.Since, t.Why = health, now, why
	}
}

func (g *gray) health(t *tried, now time.Time) (health Health, why string) {
	if now.Sub(t.last) < graySlot+graySlot/2 { // else it would be blamed again for what was
		for _, p := range t.pools {
			if why, ok := p.blames(t); ok {
				t.blamed, t.trial, t.until = now, false, time.Time{}
				return Gray, why
			}
		}
	}
	switch {
	case t.Health == Gray && now.Before(t.blamed.Add(g.clean)):
		return Gray, ""
	case t.Health == Gray:
		t.trial = true
	case t.trial && !t.until.IsZero() && !now.Before(t.until):
		t.trial = false
	}
	switch {
	case t.trial && t.until.IsZero() && now.Before(t.blamed.Add((flapMost+2)*g.clean)): // Decide may let it wait
		return Healthy, "on trial"
	case now.Sub(t.last) < graySilence:
		return Healthy, ""
	}
	return Unknown, silentWhy
}

// enough tells whether it was tried often enough to be blamed, and did not fail: else it may well be gray. It takes half as many to stay so: what comes and
// goes is news for other gateways.
func (t *tried) enough() bool {
	least := float64(grayTries)
	if t.Tried {
		least /= 2
	}
	return slices.ContainsFunc(t.pools, func(p *pool) bool {
		m := p.members[t]
		if m == nil || len(p.members) < 2 {
			return false
		}
		tries, failures := m.all.sum(p.newest, grayWindow)
		return tries >= least && failures < grayGap/2*tries
	})
}

// next is when judge must be asked again after now, though nothing was observed; zero: not by itself.
func (g *gray) next(now time.Time) (next time.Time) {
	for _, t := range g.sorted {
		at := t.last.Add(graySilence)
		switch {
		case t.Health == Unknown:
			continue
		case t.Health == Gray:
			at = t.blamed.Add(g.clean)
		case t.trial && t.until.IsZero():
			at = t.blamed.Add((flapMost + 2) * g.clean)
		case t.trial && t.until.Before(at):
			at = t.until
		}
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

func (t *tried) forgotten(now time.Time) bool {
	return t.Health == Unknown && now.Sub(t.Since) >= forgetAfter && now.Sub(t.last) >= forgetAfter
}

func (g *gray) forget(now time.Time) {
	for _, t := range g.sorted {
		if !t.forgotten(now) {
			continue
		}
		delete(g.endpoints, t.Subject)
		for _, p := range t.pools {
			if delete(p.members, t); len(p.members) == 0 {
				delete(g.pools, p.name)
			}
		}
	}
	g.sorted = slices.DeleteFunc(g.sorted, func(t *tried) bool { return t.forgotten(now) })
}

// clusters are the endpoints that are known, by cluster.
func (g *gray) clusters() map[string][]string {
	clusters := make(map[string][]string, len(g.pools))
	for _, t := range g.sorted {
		for _, p := range t.pools {
			if t.Health != Unknown {
				clusters[p.name] = append(clusters[p.name], t.Subject)
			}
		}
	}
	return clusters
}
