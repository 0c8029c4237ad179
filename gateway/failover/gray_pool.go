package failover

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/lockkeeper/lockkeeper/probes"
)

// What an endpoint must do to be blamed.
const (
	grayGap     = 0.2  // at least so much more of its tries fails than of those at the others
	grayTries   = 10   // that were made at least
	grayCallers = 2    // that fail more at it than elsewhere, at least, and a third of all that tried it
	grayNats    = 23.0 // surprise (chance below 1e-10), and ln(endpoints) for choosing among so many
	grayTrial   = 14.0 // the same on trial (1e-6)
	grayRest    = 7.0  // the same of all callers but the worst (1e-3)
)

const noSlot = math.MinInt64 / 2

// pool are the endpoints of one cluster, and what became of the tries at them in the last slots.
type pool struct {
	name    string
	newest  int64             // slot
	callers map[string]*calls // at all endpoints
	members map[*tried]*member
}

// member is one endpoint of a pool.
type member struct {
	all     calls
	callers map[string]*calls
	flags   []string // of the last failures
}

// calls counts tries by slot.
type calls struct {
	ring [grayWindow]struct{ tries, failures uint64 }
	slot int64 // the newest that has a count
}

func newPool(name string) *pool {
	return &pool{name: name, callers: map[string]*calls{}, members: map[*tried]*member{}, newest: noSlot}
}

func (c *calls) add(slot int64, tries, failures uint64) {
	for ; c.slot < slot; c.slot++ {
		if slot-c.slot > grayWindow {
			c.slot = slot - grayWindow
		}
		c.ring[index(c.slot+1)].tries, c.ring[index(c.slot+1)].failures = 0, 0
	}
	at := &c.ring[index(slot)]
	at.tries += tries
	at.failures += failures
}

// sum counts the tries in so many slots up to newest.
func (c *calls) sum(newest, span int64) (tries, failures float64) {
	for slot := max(newest-span+1, c.slot-grayWindow+1); slot <= min(newest, c.slot); slot++ {
		at := &c.ring[index(slot)]
		tries += float64(at.tries)
		failures += float64(at.failures)
	}
	return tries, failures
}

func index(slot int64) int64 { return (slot%grayWindow + grayWindow) % grayWindow }

// add counts evidence; false: it is too old.
func (p *pool) add(t *tried, slot int64, traffic *probes.Traffic) bool {
	if slot <= p.newest-grayWindow {
		return false
	}
	if slot > p.newest {
		p.newest = slot
		p.forget()
	}
	m := p.members[t]
	if m == nil {
		m = &member{callers: map[string]*calls{}, all: calls{slot: slot}}
		p.members[t] = m
	}
	m.all.add(slot, traffic.Requests, min(traffic.Failures, traffic.Requests))
	if len(traffic.Flags) > 0 {
		m.flags = slices.Sorted(maps.Keys(traffic.Flags))
	}
	for caller, tries := range traffic.Callers {
		failures := min(traffic.Failing[caller], tries)
		callOf(p.callers, caller, slot).add(slot, tries, failures)
		callOf(m.callers, caller, slot).add(slot, tries, failures)
	}
	return true
}

func callOf(callers map[string]*calls, caller string, slot int64) *calls {
	c := callers[caller]
	if c == nil {
		c = &calls{slot: slot}
		callers[strings.Clone(caller)] = c
	}
	return c
}

// forget drops the callers that have not been heard of in the window.
func (p *pool) forget() {
	old := func(_ string, c *calls) bool { return c.slot <= p.newest-grayWindow }
	if p.newest%grayWindow != 0 {
		return
	}
	maps.DeleteFunc(p.callers, old)
	for _, m := range p.members {
		maps.DeleteFunc(m.callers, old)
	}
}

// takeBack forgets everything if some of it came from the future, so that a clock that was wrong for a moment does not make all that follows seem old.
func (p *pool) takeBack(latest int64) {
	if p.newest > latest {
		p.newest = noSlot
		clear(p.callers)
		clear(p.members)
	}
}

// blames tells whether an endpoint fails more than its like, and how much in words. It is asked of several spans of time, so that much traffic is
// judged in seconds and little in patience.
func (p *pool) blames(t *tried) (why string, ok bool) {
	m := p.members[t]
	if m == nil {
		return "", false
	}
	least, slots := grayNats, int64(2)
	if t.trial {
		least, slots = grayTrial, 1
	}
	if !m.failsIn(p.newest) {
		return "", false
	}
	for span := slots; span <= grayWindow; span *= 2 {
		tries, failures := m.all.sum(p.newest, span)
		if tries < grayTries || failures < grayGap*tries {
			continue
		}
		c := p.compare(m, span)
		if c.blames(least+math.Log(float64(len(p.members)))) && p.failing(m, span, c.others()) >= slots {
			return fmt.Sprintf("%v of %v tries in %d s failed%s, as %d of %d callers see it; %.2g %% at the %d others of %s",
				failures, tries, span, m.how(), c.suffer, len(c.strata), 100*c.others(), len(p.members)-1, p.name), true
		}
	}
	return "", false
}

func (m *member) how() string {
	if len(m.flags) == 0 {
		return ""
	}
	return " (" + strings.Join(m.flags, ", ") + ")"
}

// failsIn tells whether the endpoint failed by half the gap at least in one slot.
func (m *member) failsIn(slot int64) bool {
	tries, failures := m.all.sum(slot, 1)
	return failures > 0 && failures >= grayGap/2*tries
}

// failing is in how many slots of a span the endpoint failed more than the others did, by half the gap at least, to those callers who compare them: a
// moment's trouble is over when it could be acted on.
func (p *pool) failing(m *member, span int64, others float64) (slots int64) {
	var sums [grayWindow]stratum
	for caller, calls := range m.callers {
		if _, ok := p.stratum(caller, calls, span); !ok {
			continue
		}
		for i := range span {
			tries, failures := calls.sum(p.newest-i, 1)
			sums[i].tries += tries
			sums[i].failures += failures
		}
	}
	for _, s := range sums[:span] {
		if s.failures > 0 && s.failures >= (others+grayGap/2)*s.tries {
			slots++
		}
	}
	return slots
}

// compare holds an endpoint against the others of the pool, each caller by itself.
func (p *pool) compare(m *member, span int64) *comparison {
	c := &comparison{strata: make([]stratum, 0, len(m.callers))}
	for caller, calls := range m.callers {
		if s, ok := p.stratum(caller, calls, span); ok {
			c.add(s)
		}
	}
	return c
}

// stratum is what a caller tried in a span; ok tells whether it compares anything: it tried others, too, and something succeeded.
func (p *pool) stratum(caller string, at *calls, span int64) (s stratum, ok bool) {
	s.tries, s.failures = at.sum(p.newest, span)
	if all := p.callers[caller]; all != nil {
		s.allTries, s.allFailures = all.sum(p.newest, span)
	}
	return s, s.tries > 0 && s.allTries > s.tries && s.allFailures < s.allTries
}
