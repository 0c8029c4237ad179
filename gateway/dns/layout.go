package dns

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// layout is what Serving does not change: the zones, their names, and all that is always said alike. It also has the counters, so that the turns
// go on from one table to the next.
type layout struct {
	zones   map[string]*apex // by origin as a question has it, in lower case
	nodes   map[string]*node // by name, likewise; between the names and the origin there are empty ones
	longest int              // of the nodes' names, in bytes
	places  map[string]int   // by name, likewise, and type: where the entry is in the table
	fixed   []*entry         // by place; nil: it is a pool's
	pools   []*pool
}

// apex is a zone.
type apex struct {
	zone             Zone
	origin           string
	soa              *dns.SOA // its serial is that of the table
	mailbox          []byte   // the name in it that does not exist, as a question has it
	nodata, nxdomain *reply
}

// node is a name that exists.
type node struct {
	key  string // the name as a question has it, in lower case
	name string
	apex *apex
	data *Name // nil: none of the zone's Names
	host bool  // a name server

	nodata *reply // packed
}

// pool is what a name has of one type of address.
type pool struct {
	*node
	kind  uint16
	place int
	turn  atomic.Uint64
	idcs  []*member // those with such addresses, in order of their names
}

// member is an IDC of a pool.
type member struct {
	idc       string
	addresses []netip.Addr
	answered  atomic.Uint64
	replies   [2][]*reply // of these addresses alone, with the whole TTL and with half of it
}

// newLayout makes the layout of zones that check found right.
func newLayout(zones []Zone) (*layout, error) {
	l := &layout{zones: map[string]*apex{}, nodes: map[string]*node{}, places: map[string]int{}}
	for _, z := range zones {
		if err := l.addZone(z); err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.Origin, err)
		}
	}
	for _, n := range l.nodes {
		if err := l.complete(n); err != nil {
			return nil, fmt.Errorf("zone %s: %w", n.apex.zone.Origin, err)
		}
	}
	return l, nil
}

func (l *layout) addZone(z Zone) error {
	a, ns := newApex(z)
	l.zones[wire(a.origin)] = a
	top := l.addNode(a, a.origin)
	for host, addresses := range z.NS {
		if host = dns.CanonicalName(host); !dns.IsSubDomain(a.origin, host) {
			continue
		}
		n := l.addNode(a, host)
		n.host = true
		for _, kind := range addressKinds() {
			if own := pick(addresses, kind); len(own) > 0 {
				if err := l.fix(n, kind, &reply{answer: records(host, seconds(z.TTL), own)}); err != nil {
					return err
				}
			}
		}
	}
	for name, data := range z.Names {
		n := l.addNode(a, z.full(name))
		n.data = &data
		for _, kind := range addressKinds() {
			if err := l.addPool(n, kind); err != nil {
				return err
			}
		}
	}
	if err := l.fix(top, dns.TypeSOA, &reply{answer: []dns.RR{a.soa}}); err != nil {
		return err
	}
	return l.fix(top, dns.TypeNS, ns)
}

// addNode adds a name, and the empty ones between it and the zone.
func (l *layout) addNode(a *apex, name string) *node {
	key := wire(name)
	if l.nodes[key] == nil {
		l.nodes[key] = &node{key: key, name: name, apex: a}
		l.longest = max(l.longest, len(key))
		if next, end := dns.NextLabel(name, 0); !end && name != a.origin {
			l.addNode(a, name[next:])
		}
	}
	return l.nodes[key]
}

// addPool adds the addresses of a name, if it has any of this kind.
func (l *layout) addPool(n *node, kind uint16) error {
	p := &pool{node: n, kind: kind}
	for _, idc := range n.data.sites() {
		own := pick(n.data.IDCs[idc], kind)
		if len(own) == 0 {
			continue
		}
		m := &member{idc: idc, addresses: own}
		for i, ttl := range n.data.ttls() {
			made, err := turns(n, ttl, [][]netip.Addr{own})
			if err != nil {
				return err
			}
			m.replies[i] = made
		}
		p.idcs = append(p.idcs, m)
	}
	if len(p.idcs) > 0 {
		p.place = l.put(n, kind, nil)
		l.pools = append(l.pools, p)
	}
	return nil
}

// complete adds what is said of the types that a name lacks, and to whoever wants everything.
func (l *layout) complete(n *node) error {
	n.nodata = &reply{authority: n.apex.nodata.authority}
	if err := n.nodata.pack(n); err != nil {
		return err
	}
	n.nodata.pointers = soaPointers(n.nodata.sections)
	everything := n.nodata
	if n.data != nil || n.host || n.name == n.apex.origin {
		everything = &reply{answer: []dns.RR{minimal(n.name, n.apex.soa.Hdr.Ttl)}}
	}
	if err := l.fix(n, dns.TypeANY, everything); err != nil {
		return err
	}
	for _, kind := range addressKinds() {
		if _, has := l.places[entryKey(n.key, kind)]; has {
			continue
		}
		if err := l.fix(n, kind, n.nodata); err != nil {
			return err
		}
	}
	return nil
}

// fix adds what is always said alike.
func (l *layout) fix(n *node, kind uint16, r *reply) error {
	if err := r.pack(n); err != nil {
		return err
	}
	l.put(n, kind, &entry{choices: []choice{{replies: []*reply{r}}}, longest: len(r.sections)})
	return nil
}

// put adds an entry, and returns its place.
func (l *layout) put(n *node, kind uint16, e *entry) (place int) {
	place = len(l.fixed)
	l.places[entryKey(n.key, kind)] = place
	l.fixed = append(l.fixed, e)
	return place
}

// ttls are the TTL in seconds, and what it is while Serving is degraded.
func (n Name) ttls() [2]uint32 { return [2]uint32{seconds(n.TTL), max(1, seconds(n.TTL)/2)} }

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// wire is a name in the canonical form as a question has it; empty if it is no name.
func wire(name string) string {
	var b [maxName + 1]byte
	n, err := dns.PackDomainName(name, b[:], 0, nil, false)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// entryKey is the key of a name and type.
func entryKey(wire string, kind uint16) string {
	return string(binary.BigEndian.AppendUint16([]byte(wire), kind))
}
