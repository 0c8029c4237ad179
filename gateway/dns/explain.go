package dns

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// explanation tells why a name is answered as it is.
type explanation struct {
	Name     string         `json:"name"`           // in full, in lower case, with a dot at its end
	Zone     string         `json:"zone,omitempty"` // empty: no zone of ours
	Answer   string         `json:"answer"`         // what is answered, in a sentence
	TTL      uint32         `json:"ttl,omitempty"`  // in seconds
	Serial   uint32         `json:"serial"`
	Version  uint64         `json:"version"` // of the Serving; 0: there is none
	At       time.Time      `json:"at,omitzero"`
	Degraded bool           `json:"degraded"`
	IDCs     []explainedIDC `json:"idcs,omitempty"` // of the name
}

// explainedIDC is an IDC of an explained name.
type explainedIDC struct {
	IDC       string             `json:"idc"`
	Entry     uint32             `json:"entry"`     // its weight of xds.Whole
	Known     bool               `json:"known"`     // Serving has it. If not, it has no weight
	Share     map[string]float64 `json:"share"`     // of the answers of each type, in percent
	Answered  map[string]uint64  `json:"answered"`  // answers of each type so far
	Addresses []netip.Addr       `json:"addresses"` // A and AAAA
	Why       string             `json:"why,omitempty"`
}

// explain tells what is answered for a name, and why. A name without a dot at its end is taken as full.
func (t *table) explain(name string) explanation {
	name = dns.CanonicalName(name)
	x := explanation{
		Name: name, Serial: t.serial,
		Version: t.serving.Version, At: t.serving.At, Degraded: t.serving.Degraded,
	}
	key := wire(name)
	a := t.zone(key)
	if key == "" || a == nil {
		x.Answer = "REFUSED: it is in no zone of this server, which answers for " + strings.Join(t.origins(), ", ")
		return x
	}
	x.Zone = a.origin
	switch n := t.nodes[key]; {
	case n == nil:
		x.Answer = fmt.Sprintf("NXDOMAIN: the zone has no such name; resolvers remember it for %s", a.zone.NegativeTTL)
	case n.data != nil:
		x.Answer, x.TTL = t.sentence(key, n), n.data.ttls()[t.degraded()]
		for _, idc := range n.data.sites() {
			x.IDCs = append(x.IDCs, t.explainIDC(key, n, idc))
		}
	case name == a.origin:
		x.Answer, x.TTL = "the zone itself: SOA and NS", a.soa.Hdr.Ttl
	case !n.host:
		x.Answer = "no data: only longer names end with it"
	default:
		x.Answer, x.TTL = "the addresses of a name server, always the same", a.soa.Hdr.Ttl
	}
	return x
}

// origins are the zones' names in order.
func (t *table) origins() (names []string) {
	for a := range maps.Values(t.zones) {
		names = append(names, a.origin)
	}
	slices.Sort(names)
	return names
}

// sentence says how the IDCs of a name share the answers.
func (t *table) sentence(key string, n *node) string {
	var parts []string
	for _, kind := range addressKinds() {
		e := t.entry(key, kind)
		if e.pool == nil {
			parts = append(parts, dns.TypeToString[kind]+": no data")
			continue
		}
		how := "one address, IDCs in turns by weight"
		switch {
		case len(e.choices) == 1:
			how = "of " + e.choices[0].idc + " only"
		case n.data.All && equal(e.choices):
			how = "all addresses, the first in turns"
		case n.data.All:
			how = "all addresses of one IDC, IDCs in turns by weight"
		}
		if slices.Contains(t.weightless, n.name+" "+dns.TypeToString[kind]) {
			how += ", all alike since no IDC of it has a weight"
		}
		parts = append(parts, dns.TypeToString[kind]+": "+how)
	}
	return strings.Join(parts, "; ")
}

func (t *table) explainIDC(key string, n *node, name string) explainedIDC {
	idc, known := t.serving.IDCs[name]
	x := explainedIDC{
		IDC: name, Entry: idc.Entry, Known: known, Why: idc.Why, Addresses: n.data.IDCs[name],
		Share: map[string]float64{}, Answered: map[string]uint64{},
	}
	if !known && len(t.serving.IDCs) > 0 {
		x.Why = "nothing is known of this IDC: it is not among those that failover is told of"
	}
	if !known && len(t.serving.IDCs) == 0 {
		x.Why = "nothing is known of any IDC: all are answered alike"
	}
	for _, kind := range addressKinds() {
		if e := t.entry(key, kind); e.pool != nil {
			e.explain(&x)
		}
	}
	return x
}

// explain tells of an IDC what it has of an entry.
func (e *entry) explain(x *explainedIDC) {
	kind := dns.TypeToString[e.pool.kind]
	for _, m := range e.pool.idcs {
		if m.idc == x.IDC {
			x.Share[kind], x.Answered[kind] = 0, m.answered.Load()
		}
	}
	var total float64
	for _, c := range e.choices {
		total += float64(c.weight)
	}
	for _, c := range e.choices {
		if c.idc == x.IDC {
			x.Share[kind] = 100 * float64(c.weight) / total
		}
	}
}
