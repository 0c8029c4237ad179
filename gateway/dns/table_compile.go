package dns

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/miekg/dns"

	"github.com/lockkeeper/lockkeeper/xds"
)

// The SOA's times are for secondary servers, of which there are none: zones are not transferred.
const (
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 604800
)

// addressKinds are the two types of records that names have.
var addressKinds = [...]uint16{dns.TypeA, dns.TypeAAAA} // never changed

// compile makes the table of zones that check found right. It goes on with the counters of the table before it, which is of the same zones;
// nil: there is none.
func compile(zones []Zone, serving *xds.Serving, serial uint32, before *table) (*table, error) {
	c := compiler{before: before, table: &table{
		zones: map[string]*apex{}, nodes: map[string]*node{}, entries: map[string]*entry{}, serial: serial, serving: serving,
	}}
	if serving == nil {
		c.serving = &xds.Serving{}
	}
	for _, z := range zones {
		if err := c.addZone(z); err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.Origin, err)
		}
	}
	slices.Sort(c.unknown)
	c.unknown = slices.Compact(c.unknown)
	return c.table, nil
}

// compiler makes a table.
type compiler struct {
	*table
	before *table // nil: none
}

func (c *compiler) addZone(z Zone) error {
	a := newApex(z, c.serial)
	c.zones[wire(a.origin)] = a
	c.addNode(a, a.origin)
	for host, addresses := range z.NS {
		host = dns.CanonicalName(host)
		if !dns.IsSubDomain(a.origin, host) {
			continue
		}
		c.addNode(a, host)
		for _, kind := range addressKinds {
			if rrs := records(host, seconds(z.TTL), pick(addresses, kind)); len(rrs) > 0 {
				c.addStatic(host, kind, &reply{answer: rrs})
			}
		}
	}
	for name, data := range z.Names {
		n := c.addNode(a, z.full(name))
		n.data = &data
		for _, kind := range addressKinds {
			c.addAddresses(n, kind)
		}
	}
	c.addStatic(a.origin, dns.TypeSOA, &reply{answer: []dns.RR{a.soa}})
	c.addStatic(a.origin, dns.TypeNS, &reply{answer: a.ns, additional: a.glue})
	return c.pack(a)
}

// pack adds what is said of names that lack a type, and makes the bytes of all replies.
func (c *compiler) pack(a *apex) error {
	for key, n := range c.nodes {
		if n.apex != a {
			continue
		}
		everything := &reply{answer: []dns.RR{a.everything(n.name)}}
		if n.empty() {
			everything = &reply{authority: a.nodata.authority}
		}
		c.addStatic(n.name, dns.TypeANY, everything)
		for _, kind := range addressKinds {
			if c.entries[entryKey(key, kind)] == nil {
				c.addStatic(n.name, kind, &reply{authority: a.nodata.authority})
			}
		}
		for _, kind := range [...]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeSOA, dns.TypeNS} {
			if err := c.entries[entryKey(key, kind)].pack(n.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// addNode adds a name, and the empty ones between it and the zone.
func (c *compiler) addNode(a *apex, name string) *node {
	for up := name; up != a.origin; {
		next, end := dns.NextLabel(up, 0)
		if end {
			break
		}
		if up = up[next:]; c.nodes[wire(up)] == nil {
			c.nodes[wire(up)] = &node{name: up, apex: a}
		}
	}
	key := wire(name)
	if c.nodes[key] == nil {
		c.nodes[key] = &node{name: name, apex: a}
	}
	return c.nodes[key]
}

// addStatic adds what is always said alike.
func (c *compiler) addStatic(name string, kind uint16, r *reply) {
	c.entries[entryKey(wire(name), kind)] = &entry{choices: []choice{{replies: []*reply{r}}}}
}

// addAddresses adds the addresses of a name, if it has any of this kind.
func (c *compiler) addAddresses(n *node, kind uint16) {
	var choices []choice
	for _, idc := range n.data.sites() {
		if own := pick(n.data.IDCs[idc], kind); len(own) > 0 {
			choices = append(choices, choice{idc: idc, addresses: own})
		}
	}
	if len(choices) == 0 {
		return
	}
	if !c.weigh(choices) {
		c.weightless = append(c.weightless, n.name+" "+dns.TypeToString[kind])
	}
	choices = slices.DeleteFunc(choices, func(one choice) bool { return one.weight == 0 })

	key := entryKey(wire(n.name), kind)
	e := &entry{choices: choices, count: c.count(key, n)}
	weights := make([]uint32, len(choices))
	for i := range choices {
		weights[i] = choices[i].weight
		choices[i].answered = e.count.answered[choices[i].idc]
		choices[i].replies = replies(n, choices, i, c.ttl(n.data.TTL))
	}
	e.schedule = newSchedule(weights)
	c.entries[key] = e
}

// weigh gives the choices their weights, or all the same if nobody has one: something is always answered. It tells whether there was one.
func (c *compiler) weigh(choices []choice) bool {
	weighted := false
	for i := range choices {
		idc, known := c.serving.IDCs[choices[i].idc]
		if !known && len(c.serving.IDCs) > 0 {
			c.unknown = append(c.unknown, choices[i].idc)
		}
		choices[i].weight = idc.Entry
		weighted = weighted || idc.Entry > 0
	}
	for i := range choices {
		if !weighted {
			choices[i].weight = 1
		}
	}
	return weighted || len(c.serving.IDCs) == 0
}

// count is the counter of a name and type.
func (c *compiler) count(key string, n *node) *count {
	if c.before != nil && c.before.entries[key] != nil && c.before.entries[key].count != nil {
		return c.before.entries[key].count
	}
	fresh := &count{answered: map[string]*atomic.Uint64{}}
	for idc := range n.data.IDCs {
		fresh.answered[idc] = &atomic.Uint64{}
	}
	return fresh
}
