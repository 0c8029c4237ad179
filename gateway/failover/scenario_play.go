package failover

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/probes"
)

// drill is a scenario that is being played. Its clock starts at midnight, so that the time of day is the time since the start.
type drill struct {
	scenario *scenario
	out      io.Writer
	random   *rand.Rand
	queue    happenings
	seq      int
	now      time.Time     // without the jumps of the clock
	jumped   time.Duration // what the wall clock shows beyond it
	wake     time.Time     // when a decision is due by itself

	probes   []*prober
	faults   []fault
	judges   map[string]*Judge
	said     map[[2]string]Opinion
	holds    []Hold
	shift    Shift
	clusters map[string][]string
	machines map[string][]string
	decision Decision

	changed, held  int
	loud           bool // something changed since the last expectation
	failed, broken []error
	check          func(Input, Decision) // of tests; nil: none
}

// prober makes the probes of one subject.
type prober struct {
	scenarioProbe
	many int // probes of the subject
	ok   bool
}

// fault is a step that makes probes fail.
type fault struct {
	step
	patterns []string
	callers  []string
}

// happening is what is due.
type happening struct {
	at    time.Time
	class int // of those at the same time: results, then what people do, then expectations
	seq   int
	do    func()
}

type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	return cmp.Or(h[i].at.Compare(h[j].at), cmp.Compare(h[i].class, h[j].class), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop are for container/heap.
func (h *happenings) Push(x any) { *h = append(*h, x.(happening)) }

// Pop takes the last one off.
func (h *happenings) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = happening{}
	*h = (*h)[:len(*h)-1]
	return last
}

func newDrill(s *scenario, w io.Writer) *drill {
	p := &drill{
		scenario: s, out: w, random: rand.New(rand.NewPCG(s.Seed, 7)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		judges: map[string]*Judge{}, said: map[[2]string]Opinion{}, clusters: maps.Clone(s.Clusters), machines: maps.Clone(s.Machines),
	}
	for _, groups := range []map[string][]string{p.clusters, p.machines} {
		for name, members := range groups {
			groups[name], _ = expandAll(members) // what does not expand has no member of this name
		}
	}
	many := map[string]int{}
	for _, sp := range s.Probes {
		subjects, _ := expand(sp.Subject) // checked
		for _, subject := range subjects {
			one := &prober{scenarioProbe: sp, ok: true}
			one.Subject = subject
			many[sp.Site+" "+subject]++
			p.probes = append(p.probes, one)
		}
	}
	for _, one := range p.probes {
		one.many = many[one.Site+" "+one.Subject]
		p.after(time.Duration(p.random.Int64N(int64(one.Interval))), 0, func() { p.fire(one, true) })
	}
	for i := range s.Traffic {
		endpoints, _ := expandAll(s.Traffic[i].Endpoints) // checked
		callers, _ := expandAll(s.Traffic[i].Callers)
		p.after(graySlot, 0, func() { p.call(&s.Traffic[i], endpoints, callers) })
	}
	for _, t := range s.Timeline {
		class := 1
		if t.Expect != nil {
			class = 2
		}
		p.after(time.Duration(t.At), class, func() { p.step(t) })
	}
	return p
}

// after puts something on the list.
func (p *drill) after(wait time.Duration, class int, do func()) {
	p.seq++
	heap.Push(&p.queue, happening{p.now.Add(wait), class, p.seq, do})
}

// run plays to the end.
func (p *drill) run(ctx context.Context) error {
	end := p.now.Add(time.Duration(p.scenario.For))
	p.printf("-- %s\n", cmp.Or(strings.TrimSpace(p.scenario.About), "a scenario"))
	p.decide()
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		wake := p.wake.Add(-p.jumped)
		if !p.wake.IsZero() && wake.Before(end) && (len(p.queue) == 0 || wake.Before(p.queue[0].at)) {
			p.now = maxTime(p.now, wake)
			p.decide()
			continue
		}
		if len(p.queue) == 0 || p.queue[0].at.After(end) {
			return nil
		}
		next := heap.Pop(&p.queue).(happening)
		p.now = next.at
		next.do()
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// wall is what the clock shows.
func (p *drill) wall() time.Time { return p.now.Add(p.jumped) }

// fire makes a probe; a regular one is followed by the next. The others can clear a subject, and that they fail is no evidence.
func (p *drill) fire(one *prober, regular bool) {
	if regular {
		p.after(time.Duration(one.Interval), 0, func() { p.fire(one, true) })
	}
	lost := one.Loss > 0
	for range one.packets() {
		lost = lost && p.random.Float64() < float64(one.Loss)
	}
	e := probes.Evidence{
		Subject: one.Subject, IDC: one.IDC, Observer: one.Site, Probe: cmp.Or(one.Probe, "probe"), Probes: one.many, At: p.wall(),
		Next: time.Duration(one.Interval + one.Timeout), OK: true,
	}
	wait := time.Duration(0)
	if lost {
		e.OK, e.Reason, wait = false, "timeout", time.Duration(one.Timeout)
	}
	for i := range p.faults {
		f := &p.faults[i]
		if !f.hits(one, p.now) {
			continue
		}
		switch {
		case f.Silent != nil:
			return
		case f.Hang != nil:
			e.OK, e.Reason, wait = false, cmp.Or(f.Reason, "timeout"), time.Duration(one.Timeout)
		default:
			e.OK, e.Reason, wait = false, cmp.Or(f.Reason, "connection refused"), 0
		}
	}
	if !regular && !e.OK {
		return
	}
	if wait == 0 {
		p.observe(one, e)
		return
	}
	p.after(wait, 0, func() { p.observe(one, e) })
}

// packets is how many must be lost for a probe to fail: machines are pinged, and a ping without a reply is sent twice more before it fails.
func (one *prober) packets() int {
	if Kind(one.Subject) == kindMachine {
		return 3
	}
	return 1
}

// hits tells whether the fault makes this probe fail now.
func (f *fault) hits(one *prober, now time.Time) bool {
	return f.Break == nil && f.on(one.Site, now) && (f.Probe == "" || f.Probe == one.Probe) && matches(f.patterns, one.Subject)
}

// observe hands a result to the site's judge; the first failure is probed again at once.
func (p *drill) observe(one *prober, e probes.Evidence) {
	if again := one.ok && !e.OK; again {
		p.after(0, 0, func() { p.fire(one, false) })
	}
	one.ok = e.OK
	judge := p.judge(one.Site)
	if judge.Observe(e) {
		p.decide()
	} else if due := judge.Next(); !due.IsZero() && (p.wake.IsZero() || due.Before(p.wake)) {
		p.wake = due
	}
}

// decide decides, and tells what has changed.
func (p *drill) decide() {
	in := Input{Now: p.wall(), Holds: p.holds, Shift: p.shift, Clusters: p.allClusters(), Before: p.decision}
	for _, site := range slices.Sorted(maps.Keys(p.judges)) {
		in.Opinions = append(in.Opinions, p.judges[site].Opinions(in.Now)...)
	}
	for _, key := range slices.SortedFunc(maps.Keys(p.said), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		in.Opinions = append(in.Opinions, p.said[key])
	}
	after := p.scenario.rules.Decide(in)
	if p.check != nil {
		p.check(in, after)
	}
	for _, event := range Changes(p.decision, after) {
		p.tell(event)
	}
	if after.Serving.Version != p.decision.Serving.Version {
		p.changed++
	}
	p.decision = after
	p.wake = p.scenario.rules.Next(after, nil)
	for _, judge := range p.judges {
		if due := judge.Next(); !due.IsZero() && (p.wake.IsZero() || due.Before(p.wake)) {
			p.wake = due
		}
	}
}

// restart is a gateway that starts anew.
func (p *drill) restart(state string) {
	clear(p.judges)
	if state == "lost" {
		p.decision, p.holds, p.shift = Decision{}, nil, Shift{}
	} else {
		text, err := json.Marshal(p.decision)
		if err == nil {
			p.decision = Decision{}
			err = json.Unmarshal(text, &p.decision)
		}
		if err != nil {
			p.broken = append(p.broken, fmt.Errorf("the state: %w", err))
		}
		p.decision = Loaded(p.decision)
	}
	p.decide()
}
