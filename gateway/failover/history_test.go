package failover

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// history is a random life: rules, what fails when, holds, shifts, restarts. What must never happen is held at every decision.
type history struct {
	t        *testing.T
	random   *rand.Rand
	rules    Rules
	sites    []string
	judges   map[string]*Judge
	subjects []string
	clusters map[string][]string
	failing  map[string]bool // by site and subject
	holds    []Hold
	shift    Shift
	decision Decision
	fell     map[string]time.Time // when a verdict took it out the last time
	kinds    int                  // of what may happen: the fewer, the more often people say something
	now      time.Time
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), rules: DefaultRules(), judges: map[string]*Judge{}, failing: map[string]bool{},
		fell: map[string]time.Time{}, now: start, sites: []string{""},
	}
	h.kinds = []int{6, 12, 24}[h.random.IntN(3)]
	h.rules.IDCs = map[string]IDC{}
	left := 100.0
	idcs := 2 + h.random.IntN(2)
	for i := range idcs {
		weight := left
		if i < idcs-1 {
			weight = float64(h.random.IntN(int(left) + 1))
		}
		left -= weight
		name := fmt.Sprint("idc", i+1)
		h.rules.IDCs[name] = IDC{Weight: weight, CapacityPercent: float64(20 + h.random.IntN(100))}
		h.subjects = append(h.subjects, "idc/"+name+"/entry", "idc/"+name+"/mesh")
		for m := range 1 + h.random.IntN(8) {
			h.subjects = append(h.subjects, fmt.Sprintf("machine/%s-%d", name, m))
		}
	}
	for _, kind := range []string{kindIDC, kindMachine, kindEndpoint} {
		h.rules.Act[kind] = h.random.IntN(4) > 0
	}
	h.rules.Safety = Safety{MaxEjectionPercent: 1 + h.random.IntN(100), FreezePercent: 1 + h.random.IntN(100)}
	if h.random.IntN(2) == 0 {
		h.rules.Thresholds, _ = Profile("fast")
	}
	if h.random.IntN(3) == 0 {
		h.rules.Sites = map[string]string{"berlin": "idc1", "tokyo": "idc2", "outside": ""}
		h.sites = []string{"berlin", "tokyo", "outside"}
	}
	if h.random.IntN(2) == 0 {
		h.clusters = map[string][]string{}
		for c := range 1 + h.random.IntN(3) {
			for e := range 1 + h.random.IntN(6) {
				subject := fmt.Sprintf("endpoint/%d.%d", c, e)
				h.clusters[fmt.Sprint("c", c)] = append(h.clusters[fmt.Sprint("c", c)], subject)
				h.subjects = append(h.subjects, subject)
			}
		}
	}
	require.NoError(t, h.rules.Validate())
	h.restart()
	return h
}

func (h *history) restart() {
	for _, site := range h.sites {
		h.judges[site] = NewJudge(h.rules, site)
	}
	h.decision = Loaded(h.decision)
}

// second lets a second pass: something may begin or end, all is probed, and it is decided.
func (h *history) second() {
	h.now = h.now.Add(time.Second)
	if h.random.IntN(8) == 0 {
		h.stir()
	}
	for _, site := range h.sites {
		for _, subject := range h.subjects {
			if h.random.IntN(50) == 0 {
				continue
			}
			idc := ""
			if Kind(subject) == kindMachine {
				idc = subject[len("machine/"):][:4]
			}
			h.judges[site].Observe(probes.Evidence{
				Subject: subject, IDC: idc, Probe: "p", At: h.now.Add(-time.Duration(h.random.IntN(100)) * time.Millisecond), Next: 3 * time.Second,
				OK: !h.failing[site+subject] && h.random.IntN(100) > 0, Reason: "timeout",
			})
		}
	}
	h.decide()
}

// stir makes something else fail or recover, or somebody say something.
func (h *history) stir() {
	subject := h.subjects[h.random.IntN(len(h.subjects))]
	fail := h.random.IntN(2) == 0
	switch h.random.IntN(h.kinds) {
	case 0:
		action, hard := []Action{Keep, Eject, Restore}[h.random.IntN(3)], h.random.IntN(2) == 0
		said := []string{subject}
		if members := h.clusters["c0"]; h.random.IntN(3) == 0 && len(members) > 0 { // of all there is
			said = members
		}
		for _, subject := range said {
			h.holds = append(slices.DeleteFunc(h.holds, func(o Hold) bool { return o.Subject == subject }), Hold{
				Subject: subject, Action: action, Hard: hard, By: "ana", At: h.now,
				Until: h.now.Add(time.Duration(h.random.IntN(300)) * time.Second), Kept: h.decision.Verdict[subject].Out,
			})
		}
	case 1:
		h.shift = Shift{}
		if h.random.IntN(2) == 0 {
			part := uint32(h.random.IntN(xds.Whole + 1))
			h.shift = Shift{ID: "s", By: "ana", Hard: h.random.IntN(2) == 0, Entry: map[string]uint32{"idc1": part, "idc2": xds.Whole - part}}
		}
	case 2: // a site loses all, or finds it again
		site := h.sites[h.random.IntN(len(h.sites))]
		for _, subject := range h.subjects {
			h.failing[site+subject] = fail
		}
	case 3:
		if h.random.IntN(5) == 0 {
			h.restart()
		}
	case 4: // one site sees what others do not
		h.failing[h.sites[h.random.IntN(len(h.sites))]+subject] = fail
	default:
		for _, site := range h.sites {
			h.failing[site+subject] = fail
		}
	}
}

func (h *history) decide() {
	in := Input{Now: h.now, Holds: h.holds, Shift: h.shift, Clusters: h.clusters, Before: h.decision}
	for _, site := range h.sites {
		in.Opinions = append(in.Opinions, h.judges[site].Opinions(h.now)...)
	}
	kept := in.Before
	kept.Verdict = maps.Clone(kept.Verdict)
	after := h.rules.Decide(in)
	h.same("the decision before must not change", kept, in.Before)
	apart := after
	apart.Verdict = maps.Clone(after.Verdict)
	require.Equal(h.t, Changes(in.Before, apart), Changes(in.Before, after), "that decisions share verdicts must not matter")

	mixed := in
	mixed.Opinions, mixed.Holds = slices.Clone(in.Opinions), slices.Clone(in.Holds)
	h.random.Shuffle(len(mixed.Opinions), func(i, j int) { mixed.Opinions[i], mixed.Opinions[j] = mixed.Opinions[j], mixed.Opinions[i] })
	h.random.Shuffle(len(mixed.Holds), func(i, j int) { mixed.Holds[i], mixed.Holds[j] = mixed.Holds[j], mixed.Holds[i] })
	h.same("the order of the input must not matter", after, h.rules.Decide(mixed))
	again := in
	again.Before = after
	twice := h.rules.Decide(again)
	twice.Next = after.Next // which may be sooner than it need be
	h.same("deciding again must change nothing", after, twice)

	h.neverNothing(after)
	h.neverInObserve(after)
	h.neverMore(in.Before, after)
	h.neverFaster(in.Before, after)
	h.decision = after
}

func (h *history) same(what string, want, got Decision) {
	h.t.Helper()
	if reflect.DeepEqual(want, got) {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Fatalf("%v: %s (-want +got):\n%s", h.now.Sub(start), what, diff)
	}
}

// neverNothing: the entry keeps an IDC, the mesh one, and each cluster an endpoint.
func (h *history) neverNothing(d Decision) {
	for _, s := range []xds.Serving{d.Serving, d.Would} {
		var entry, mesh uint32
		for _, idc := range s.IDCs {
			entry += idc.Entry
			mesh += idc.Mesh
		}
		require.EqualValues(h.t, xds.Whole, entry, "entry %v", s.IDCs)
		require.EqualValues(h.t, xds.Whole, mesh)
		for name, members := range h.clusters {
			require.True(h.t, slices.ContainsFunc(members, func(m string) bool { _, out := s.Out[m]; return !out }), "%v: nothing left of %s", h.now.Sub(start), name)
		}
	}
}

// neverInObserve: what does not act takes nothing out.
func (h *history) neverInObserve(d Decision) {
	for subject, v := range d.Verdict {
		if v.Out && !h.rules.Act[Kind(subject)] {
			require.True(h.t, h.held(subject), "%v: %s", h.now.Sub(start), subject)
		}
	}
}

// held tells whether somebody holds it.
func (h *history) held(subject string) bool {
	return slices.ContainsFunc(h.holds, func(o Hold) bool { return o.Subject == subject && h.now.Before(o.Until) })
}

// frozen tells whether so many went down at once that nothing more may be taken out.
func (h *history) frozen(d Decision, members []string) bool {
	recent := 0
	for _, m := range members {
		v := d.Verdict[m]
		dead := d.Verdict["idc/"+v.IDC+"/entry"].bad() || d.Verdict["idc/"+v.IDC+"/mesh"].bad()
		if v.bad() && !dead && h.now.Sub(v.Since) < freezeWindow {
			recent++
		}
	}
	return recent >= freezeLeast && recent*100 > h.rules.Safety.FreezePercent*len(members)
}

// neverMore: what the verdicts newly take out stays within the budget, counting all that is out, and they take out nothing in a freeze.
func (h *history) neverMore(before, after Decision) {
	groups := map[string][]string{}
	for name, members := range h.clusters {
		groups[name] = members
	}
	for subject, v := range after.Verdict {
		if Kind(subject) == kindMachine {
			groups[v.IDC] = append(groups[v.IDC], subject)
		}
	}
	for name, members := range groups {
		out, fresh := 0, ""
		for _, m := range members {
			if after.Verdict[m].Out {
				out++
			}
			if after.Verdict[m].Out && !before.Verdict[m].Out && !h.held(m) {
				fresh = m
			}
		}
		if budget := max(1, len(members)*h.rules.Safety.MaxEjectionPercent/100); fresh != "" {
			require.LessOrEqual(h.t, out, budget, "%v: %s of %s", h.now.Sub(start), fresh, name)
			require.False(h.t, h.frozen(after, members), "%v: %s of %s in a freeze", h.now.Sub(start), fresh, name)
		}
	}
}

// neverFaster: what a verdict has taken out returns by a verdict only after the clean time, except where nothing else is left.
func (h *history) neverFaster(before, after Decision) {
	for subject, v := range after.Verdict {
		was := before.Verdict[subject]
		if v.Down && !was.Down {
			h.fell[subject] = h.now
		}
		if !was.Down || v.Down || v.Health != Healthy || h.held(subject) {
			continue
		}
		clean := h.rules.threshold(Kind(subject)).clean()
		require.GreaterOrEqual(h.t, h.now.Sub(h.fell[subject])+time.Second, clean, "%v: %s", h.now.Sub(start), subject)
	}
}

// Whatever happens: never no IDC at the entry, never more out than the budget, never the last one of a cluster, no return before the clean
// time; and Decide is a function.
func TestHistories(t *testing.T) {
	for seed := range uint64(40) {
		h := newHistory(t, seed)
		for range 400 {
			h.second()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
