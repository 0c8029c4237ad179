package failover

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

// together is a random life of several gateways in fake time, with a network that delays, reorders, duplicates, loses and parts, and clocks that
// differ. What must never happen is held at every decision.
type together struct {
	t        *testing.T
	seed     uint64
	random   *rand.Rand
	rules    Rules
	nodes    []*node
	subjects []string
	failing  map[string]bool // by site and subject
	group    map[string]int  // of a partition, by node
	calm     bool            // nothing is delayed or lost any more
	mail     []letter
	places   atomic.Pointer[places]
	now      time.Time
	log      []string
}

type letter struct {
	at   time.Time
	to   *node
	text []byte
}

func newTogether(t *testing.T, seed uint64) *together {
	w := &together{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 9)), failing: map[string]bool{}, group: map[string]int{}, now: start}
	w.rules = DefaultRules()
	w.rules.IDCs = map[string]IDC{"idc1": {Weight: 50, CapacityPercent: 100}, "idc2": {Weight: 50, CapacityPercent: 100}}
	w.rules.Act = map[string]bool{kindIDC: true, kindMachine: w.random.IntN(4) > 0, kindEndpoint: true}
	w.rules.Sites = map[string]string{"berlin": "idc1", "tokyo": "idc2", "outside": ""}
	for kind := range w.rules.Thresholds {
		w.rules.Thresholds[kind] = Threshold{Unhealthy: 2, Healthy: 4}
	}
	w.rules.Safety = Safety{MaxEjectionPercent: 40, FreezePercent: 60}
	w.subjects = []string{
		"idc/idc1/entry", "idc/idc2/entry", "idc/idc1/mesh", "idc/idc2/mesh",
		"machine/idc1-a", "machine/idc1-b", "machine/idc2-a", "machine/idc2-b", "endpoint/1", "endpoint/2", "endpoint/3",
	}
	w.places.Store(&places{clusters: map[string][]string{"c": {"endpoint/1", "endpoint/2", "endpoint/3"}}})
	for _, member := range [][2]string{{"b1", "berlin"}, {"t1", "tokyo"}, {"w1", "outside"}, {"b2", "berlin"}, {"t2", "tokyo"}}[:3+w.random.IntN(3)] {
		skew := time.Duration(w.random.IntN(60_000)-30_000) * time.Millisecond
		w.nodes = append(w.nodes, &node{life: w, name: member[0], site: member[1], skew: skew, ended: map[string]bool{}, seen: map[string]Hold{}})
	}
	for _, n := range w.nodes {
		n.known = w.alive(n)
		n.begin()
	}
	return w
}

// alive is who answers a node in truth.
func (w *together) alive(n *node) map[string]string {
	alive := map[string]string{}
	for _, other := range w.nodes {
		if !other.down && w.group[other.name] == w.group[n.name] {
			alive[other.name] = other.site
		}
	}
	return alive
}

// second lets a second pass.
func (w *together) second() {
	for range 2 {
		w.now = w.now.Add(500 * time.Millisecond)
		w.deliver()
		for _, n := range w.nodes {
			if !n.down && (w.calm || w.random.IntN(2) == 0) {
				n.decide()
			}
		}
	}
	for _, n := range w.nodes {
		if n.down {
			continue
		}
		if w.calm || w.random.IntN(3) == 0 {
			n.known = w.alive(n)
		}
		if other := w.nodes[w.random.IntN(len(w.nodes))]; other != n && !other.down && w.group[other.name] == w.group[n.name] && w.random.IntN(5) == 0 {
			n.meet(other)
		}
		n.observe()
		n.decide()
	}
}

// deliver brings the mail that is due, in any order.
func (w *together) deliver() {
	w.random.Shuffle(len(w.mail), func(i, j int) { w.mail[i], w.mail[j] = w.mail[j], w.mail[i] })
	var later []letter
	for _, m := range w.mail {
		switch {
		case m.at.After(w.now):
			later = append(later, m)
		case !m.to.down:
			require.NoError(w.t, m.to.shared.ledger.hear(m.text, m.to.own()))
		}
	}
	w.mail = later
}

func (w *together) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, %v: %s\n%v", w.seed, w.now.Sub(start), fmt.Sprintf(format, args...), w.log)
}

// stir makes something happen.
func (w *together) stir() {
	subject, n := w.subjects[w.random.IntN(len(w.subjects))], w.nodes[w.random.IntN(len(w.nodes))]
	fail := w.random.IntN(2) == 0
	now := n.shared.time().at(n.own())
	what := w.random.IntN(16)
	w.log = append(w.log, fmt.Sprint(w.now.Sub(start), " ", what, " ", n.name, " ", subject, " ", fail, "\n"))
	switch what {
	case 0, 1:
		if n.down {
			return
		}
		_, _ = n.hold(Hold{Subject: subject, Action: []Action{Keep, Eject, Restore}[w.random.IntN(3)], Hard: fail, By: n.name}, time.Duration(1+w.random.IntN(40))*time.Second, now)
		n.decide()
	case 2:
		if n.down {
			return
		}
		n.drop(func(h Hold) bool { return fail || h.Subject == subject })
		n.decide()
	case 3:
		w.plan(n, now, fail)
	case 4, 5: // the network parts, or heals
		for _, n := range w.nodes {
			w.group[n.name] = 0
			if fail {
				w.group[n.name] = w.random.IntN(2)
			}
		}
	case 6: // a gateway dies, or comes back
		if n.down = !n.down; !n.down {
			n.known = map[string]string{}
			n.begin()
		}
	case 7:
		if !n.down {
			n.begin()
		}
	case 15: // or it starts with a wrong clock, which is mended
		if !n.down {
			n.wrong = time.Duration(240+w.random.IntN(7200)) * time.Second
			if fail {
				n.wrong = -n.wrong
			}
			n.ended, n.seen = map[string]bool{}, map[string]Hold{}
			n.begin()
			n.wrong = 0
		}
	case 14: // or its disk is lost
		if !n.down {
			n.loop, n.last, n.ended, n.seen = nil, xds.Serving{}, map[string]bool{}, map[string]Hold{}
			n.begin()
		}
	case 8: // one site sees what others do not
		w.failing[n.site+subject] = fail
	case 9: // or nothing
		for _, s := range w.subjects {
			w.failing[n.site+s] = fail
		}
	default:
		for site := range w.rules.Sites {
			w.failing[site+subject] = fail
		}
	}
}

func (w *together) plan(n *node, now time.Time, abort bool) {
	if n.down {
		return
	}
	if abort {
		n.note(n.loop.plan.Abort(now, n.name, "enough"))
	} else {
		percent := float64(w.random.IntN(100))
		p, err := ParsePlan(PlanRequest{To: map[string]float64{"idc1": 100}, Steps: []StepRequest{{Percent: &percent, For: Span(5 * time.Second)}}, For: Span(time.Duration(10+w.random.IntN(30)) * time.Second)}, w.rules, now)
		require.NoError(w.t, err)
		p.By = n.name
		n.note(p.Succeed(now, n.loop.plan))
		n.loop.plan = p
	}
	n.decide()
}

// settle lets all messages come, and holds that all serve the same.
func (w *together) settle() {
	w.calm = true
	clear(w.group)
	for _, n := range w.nodes {
		if n.down {
			n.down = false
			n.begin()
		}
	}
	for range 5 {
		w.second()
	}
	for range 3 {
		w.exchange()
	}
	for round := 0; round < 30 && !w.agree(); round++ { // who has insisted on something in vain waits some seconds
		w.now = w.now.Add(time.Duration(round/10) * time.Second)
		w.exchange()
	}
	one := w.nodes[0]
	for _, n := range w.nodes[1:] {
		if n.last.Version != one.last.Version || !sameServing(n.last, one.last) {
			w.fatal("%s and %s serve\n%v\n%v\n%s\n%s", one.name, n.name, text(one.last), text(n.last), text(verdicts(one)), text(verdicts(n)))
		}
		if !slices.Equal(n.holds, one.holds) {
			w.fatal("%s and %s hold\n%v\n%v", one.name, n.name, one.holds, n.holds)
		}
		if n.loop.plan.rank() != one.loop.plan.rank() {
			w.fatal("%s and %s shift\n%s\n%s", one.name, n.name, text(one.loop.plan), text(n.loop.plan))
		}
	}
}

// agree tells whether all serve the same.
func (w *together) agree() bool {
	return !slices.ContainsFunc(w.nodes, func(n *node) bool {
		return n.last.Version != w.nodes[0].last.Version || !sameServing(n.last, w.nodes[0].last)
	})
}

// exchange lets each hear all, and decide.
func (w *together) exchange() {
	for _, n := range w.nodes[1:] {
		n.meet(w.nodes[0])
	}
	for _, n := range w.nodes {
		n.decide()
	}
	w.deliver()
}

func verdicts(n *node) map[string]Verdict {
	v, _ := n.board.get()
	return maps.Clone(v.decision.Verdict)
}

func text(v any) string {
	t, _ := json.Marshal(v)
	return string(t)
}

// Whatever is delayed, lost, doubled, parted or restarted: when all has been told, all serve the same; nobody goes back, nothing is taken out without
// a quorum, and nothing that was released comes back. LOCKKEEPER_HISTORIES=2000 lives more of them.
func TestHistoriesTogether(t *testing.T) {
	histories, err := strconv.Atoi(cmp.Or(os.Getenv("LOCKKEEPER_HISTORIES"), "40"))
	require.NoError(t, err)
	const parts = 4
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for seed := part; seed < histories; seed += parts {
				w := newTogether(t, uint64(seed))
				for range 60 {
					w.second()
					if w.random.IntN(3) == 0 {
						w.stir()
					}
				}
				w.settle()
			}
		})
	}
}
