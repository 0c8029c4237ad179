package failover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
)

// silentWhy is why a subject is unknown.
const silentWhy = "no word of it"

// Judge turns one site's evidence into its opinions. It is not safe for concurrent use. It looks at no clock: the times of the evidence and
// of who asks are all it knows, and with Go's monotonic readings a wall clock that jumps changes nothing.
type Judge struct {
	rules    Rules
	site     string
	subjects map[string]*subject
	sorted   []*subject // by name
	worlds   map[string][]*subject
	due      time.Time // not after the first time that a probe falls silent
	seen     time.Time // the last observation
	mesh     *gray
}

// subject is what is known of one.
type subject struct {
	Opinion
	threshold Threshold
	clean     time.Duration
	combine   Combine
	probes    []probe
	count     int        // how many probes it has, as the evidence says
	world     []*subject // all IDCs of its scope: see confirmed
}

// probe is what one probe told.
type probe struct {
	name   string
	last   time.Time
	silent time.Time     // after it nothing is known
	gap    time.Duration // usual interval, as learned from successes in a row; 0: not known yet
	bad    bool          // it failed so often in a row, and has not been clean since
	known  bool          // it has been called good or bad
	fails  int           // in a row
	goods  int           // in a row
	from   time.Time     // the first of the row
	failed time.Time     // the first of the last row of failures
	back   bool          // bad, but it has succeeded since it failed so often in a row the last time
	why    string        // why it is bad
}

// NewJudge starts without any knowledge. Site is the name of the opinions' site.
func NewJudge(rules Rules, site string) *Judge {
	return &Judge{rules: rules, site: site, subjects: map[string]*subject{}, worlds: map[string][]*subject{}, mesh: newGray(rules, site)}
}

// Observe takes in one observation. It tells whether an opinion has changed, or may have. Evidence that is not newer than the last of its probe is
// overlooked, as is Traffic of other subjects than endpoints.
func (j *Judge) Observe(e probes.Evidence) (changed bool) {
	if e.Traffic != nil {
		return j.mesh.observe(e)
	}
	if e.Subject == "" {
		return false
	}
	s := j.subjects[e.Subject]
	if s == nil {
		s = j.meet(e)
	}
	s.count = max(e.Probes, 1)
	p := s.probe(e.Probe)
	if !e.At.After(p.last) {
		return false
	}
	p.observe(e, j.unhealthy(s, e), s.clean)
	j.seen = e.At
	if j.due.IsZero() || p.silent.Before(j.due) {
		j.due = p.silent
	}
	if len(s.world) < 2 {
		return j.judge(s, e.At)
	}
	for _, other := range s.world {
		if other.judge(e.At) {
			changed = true
		}
	}
	return changed
}

// meet begins to know a subject.
func (j *Judge) meet(e probes.Evidence) *subject {
	kind := Kind(e.Subject)
	s := &subject{
		Opinion:   Opinion{Subject: strings.Clone(e.Subject), IDC: e.IDC, Site: j.site, Since: e.At},
		threshold: j.rules.threshold(kind), combine: j.rules.Combine[kind],
	}
	s.clean = s.threshold.clean()
	j.subjects[s.Subject] = s
	at, _ := slices.BinarySearchFunc(j.sorted, s.Subject, func(s *subject, name string) int { return strings.Compare(s.Subject, name) })
	j.sorted = slices.Insert(j.sorted, at, s)
	if idc, scope, ok := splitIDC(s.Subject); ok {
		s.IDC = idc
		j.worlds[scope] = append(j.worlds[scope], s)
		j.share(scope)
	}
	return s
}

// share tells all IDCs of a scope of one another.
func (j *Judge) share(scope string) {
	for _, s := range j.worlds[scope] {
		s.world = j.worlds[scope]
	}
}

// splitIDC splits idc/NAME/SCOPE.
func splitIDC(subject string) (idc, scope string, ok bool) {
	rest, ok := strings.CutPrefix(subject, kindIDC+"/")
	if !ok {
		return "", "", false
	}
	idc, scope, ok = strings.Cut(rest, "/")
	return idc, scope, ok && idc != "" && (scope == "entry" || scope == "mesh")
}

func (s *subject) probe(name string) *probe {
	for i := range s.probes {
		if s.probes[i].name == name {
			return &s.probes[i]
		}
	}
	s.probes = append(s.probes, probe{name: strings.Clone(name)})
	return &s.probes[len(s.probes)-1]
}

// observe counts one result. Silence ends every row.
func (p *probe) observe(e probes.Evidence, unhealthy int, clean time.Duration) {
	if e.At.After(p.silent) {
		p.fails, p.goods = 0, 0
	}
	if e.OK {
		p.succeed(e.At, unhealthy, clean)
	} else {
		p.fail(e, unhealthy)
	}
	p.last, p.silent = e.At, e.At.Add(e.Next)
}

func (p *probe) succeed(at time.Time, unhealthy int, clean time.Duration) {
	if p.goods == 0 {
		p.from = at
	}
	p.fails = 0
	p.back = p.bad
	p.goods++
	if p.goods > 2 {
		p.gap = at.Sub(p.last)
	}
	if p.goods >= unhealthy && (!p.bad || at.Sub(p.from) >= clean) {
		p.bad, p.back, p.known = false, false, true
	}
}

func (p *probe) fail(e probes.Evidence, unhealthy int) {
	if p.fails == 0 {
		p.from, p.failed = e.At, e.At
	}
	p.goods = 0
	p.fails++
	least := time.Duration(unhealthy-1)*p.gap - p.gap/4 // a quarter is jitter
	if p.fails < unhealthy || e.At.Sub(p.from) < least || p.bad && !p.back {
		return
	}
	p.bad, p.back, p.known = true, false, true
	p.why = fmt.Sprintf("%s: %d in a row failed: %s", p.name, p.fails, e.Reason)
}

// judge makes up the opinion anew; it tells whether the health has changed.
func (s *subject) judge(now time.Time) (changed bool) {
	health := s.health(now)
	if health == Dead && s.Vetoed {
		health = Healthy
	}
	if health == Dead && s.Health != Dead && !s.confirmed(now) {
		health = s.Health
	}
	if answers := health == Dead && s.isBack(); answers != s.Answers {
		s.Answers, changed = answers, true
	}
	if health == s.Health {
		return changed
	}
	s.Health, s.Since, s.Why = health, now, s.why(now, health)
	return true
}

// isBack tells whether all of its bad probes have succeeded since.
func (s *subject) isBack() bool {
	return !slices.ContainsFunc(s.probes, func(p probe) bool { return p.bad && !p.back })
}

func (s *subject) health(now time.Time) Health {
	bad, good := 0, 0
	for i := range s.probes {
		p := &s.probes[i]
		switch {
		case !p.known || now.After(p.silent):
		case p.bad:
			bad++
		default:
			good++
		}
	}
	return s.combine.health(bad, good, max(s.count, len(s.probes)))
}

// confirmed tells whether an IDC may be called dead: only while another one of its scope answers, or when all have been called so. An observer
// that loses its own network sees them all fail, but not all at the same moment.
func (s *subject) confirmed(now time.Time) bool {
	all := true
	for _, other := range s.world {
		if other == s {
			continue
		}
		if other.answers(now) {
			return true
		}
		all = all && other.health(now) != Healthy
	}
	return all
}

// answers tells whether the last result of any probe was a success.
func (s *subject) answers(now time.Time) bool {
	return slices.ContainsFunc(s.probes, func(p probe) bool { return p.goods > 0 && !now.After(p.silent) })
}

func (s *subject) why(now time.Time, health Health) string {
	switch health {
	case Dead:
		var failed []string
		for i := range s.probes {
			if p := &s.probes[i]; p.bad && !now.After(p.silent) {
				failed = append(failed, p.why)
			}
		}
		return strings.Join(failed, "; ")
	case Healthy:
		return "" // nothing to explain
	}
	return silentWhy
}
