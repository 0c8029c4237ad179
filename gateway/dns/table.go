package dns

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/lockkeeper/lockkeeper/xds"
)

// table is all that is answered at a time. It is immutable; only the counters of its layout go on.
type table struct {
	*layout
	entries []*entry // by place
	serial  uint32
	serving *xds.Serving // the zero Serving if there is none

	unknown    []string // IDCs with addresses that Serving does not know: they are not answered
	weightless []string // name and type that are answered from all of their IDCs, since none has a weight
}

// entry is what is said to a question of one name and type.
type entry struct {
	choices  []choice
	schedule *schedule // nil: there is only one reply, always the same
	pool     *pool     // nil: likewise
	longest  int       // of the replies' sections, in bytes
}

// choice is an IDC that is answered. Its replies take turns.
type choice struct {
	*member
	weight  uint32
	replies []*reply
}

// compile makes the table of zones that check found right, for a Serving; nil: nothing is known of IDCs. The table before it is of the same
// zones, and its turns go on; nil: there is none.
func compile(zones []Zone, serving *xds.Serving, serial uint32, before *table) (*table, error) {
	t := &table{serial: serial, serving: serving}
	if before != nil {
		t.layout = before.layout
	} else {
		var err error
		if t.layout, err = newLayout(zones); err != nil {
			return nil, err
		}
	}
	if serving == nil {
		t.serving = &xds.Serving{}
	}
	t.entries = slices.Clone(t.fixed)
	schedules := map[string]*schedule{}
	for _, p := range t.pools {
		var err error
		if t.entries[p.place], err = t.choose(p, schedules); err != nil {
			return nil, err
		}
	}
	slices.Sort(t.unknown)
	t.unknown = slices.Compact(t.unknown)
	slices.Sort(t.weightless)
	return t, nil
}

// choose makes the entry of a pool.
func (t *table) choose(p *pool, schedules map[string]*schedule) (*entry, error) {
	e := &entry{pool: p, choices: t.weigh(p)}
	degraded := t.degraded()
	weights := make([]uint32, len(e.choices))
	for i := range e.choices {
		c := &e.choices[i]
		weights[i], c.replies = c.weight, c.member.replies[degraded]
		if p.data.All && len(e.choices) > 1 && equal(e.choices) {
			made, err := turns(p.node, p.data.ttls()[degraded], from(e.choices, i))
			if err != nil {
				return nil, err
			}
			c.replies = made
		}
		for _, r := range c.replies {
			e.longest = max(e.longest, len(r.sections))
		}
	}
	e.schedule = scheduleOf(weights, schedules)
	return e, nil
}

// degraded is which TTLs and replies hold now.
func (t *table) degraded() int {
	if t.serving.Degraded {
		return 1
	}
	return 0
}

// weigh are the IDCs of a pool that have a weight, or all of them, alike, if none has one: something is always answered.
func (t *table) weigh(p *pool) (weighted []choice) {
	for _, m := range p.idcs {
		idc, known := t.serving.IDCs[m.idc]
		if !known && len(t.serving.IDCs) > 0 {
			t.unknown = append(t.unknown, m.idc)
		}
		if idc.Entry > 0 {
			weighted = append(weighted, choice{member: m, weight: idc.Entry})
		}
	}
	if weighted != nil {
		return weighted
	}
	if len(t.serving.IDCs) > 0 {
		t.weightless = append(t.weightless, p.String())
	}
	for _, m := range p.idcs {
		weighted = append(weighted, choice{member: m, weight: 1})
	}
	return weighted
}

// String is the name and the type.
func (p *pool) String() string { return p.name + " " + dns.TypeToString[p.kind] }

func equal(choices []choice) bool {
	return !slices.ContainsFunc(choices, func(c choice) bool { return c.weight != choices[0].weight })
}

// from are the addresses of all choices, the i-th first.
func from(choices []choice, i int) (addresses [][]netip.Addr) {
	for other := range choices {
		addresses = append(addresses, choices[(i+other)%len(choices)].addresses)
	}
	return addresses
}

// next is the reply whose turn it is.
func (e *entry) next() *reply {
	if e.schedule == nil {
		return e.choices[0].replies[0]
	}
	now, before := e.schedule.at(e.pool.turn.Add(1) - 1)
	c := &e.choices[now]
	c.answered.Add(1)
	if len(c.replies) == 1 {
		return c.replies[0]
	}
	return c.replies[before%uint64(len(c.replies))]
}

// entry is what is said to a question of this name and type; nil: there is none.
func (t *table) entry(name string, kind uint16) *entry {
	if place, ok := t.places[entryKey(name, kind)]; ok {
		return t.entries[place]
	}
	return nil
}

// answers are the addresses that may be answered for a name now. It is not known if it is no name of a zone.
func (t *table) answers(name string, kind uint16) (addresses []netip.Addr, known bool) {
	e := t.entry(wire(dns.CanonicalName(name)), kind)
	if e == nil || e.pool == nil {
		return nil, e != nil
	}
	for _, c := range e.choices {
		addresses = append(addresses, c.addresses...)
	}
	return addresses, true
}

// counted is how often an IDC's addresses were answered.
type counted struct {
	name, kind, idc string
	answers         uint64
}

// counts are the answers by name, type and IDC since the layout was made.
func (l *layout) counts() iter.Seq[counted] {
	return func(yield func(counted) bool) {
		for _, p := range l.pools {
			for _, m := range p.idcs {
				if !yield(counted{p.name, dns.TypeToString[p.kind], m.idc, m.answered.Load()}) {
					return
				}
			}
		}
	}
}
