package dns

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/lockkeeper/lockkeeper/xds"
)

// table is all that is answered at a time. It is immutable but for its counters, which the next table goes on with.
type table struct {
	zones   map[string]*apex  // by origin as a question has it, in lower case
	nodes   map[string]*node  // by name, likewise; between the names and the origin there are empty ones
	entries map[string]*entry // by name, likewise, and type: what fast answers

	serial     uint32
	serving    *xds.Serving // the zero Serving if there was none
	unknown    []string     // IDCs with addresses that Serving does not know: they are not answered
	weightless []string     // name and type that are answered from all IDCs, since none of theirs has a weight
}

// apex is a zone of the table.
type apex struct {
	zone             Zone
	origin           string
	soa              *dns.SOA
	ns, glue         []dns.RR
	nodata, nxdomain *reply
}

// node is a name that exists.
type node struct {
	name string
	apex *apex
	data *Name // nil: none of the zone's Names
}

// entry is what is said to a question of one name and type.
type entry struct {
	choices  []choice
	schedule *schedule // nil: there is only one reply, always the same
	count    *count    // nil: likewise
	longest  int       // of the replies' sections, in bytes
}

// choice is an IDC that is answered. Its replies take turns.
type choice struct {
	idc       string
	weight    uint32
	addresses []netip.Addr
	replies   []*reply
	answered  *atomic.Uint64
}

// count counts the answers of a name and type.
type count struct {
	turn     atomic.Uint64
	answered map[string]*atomic.Uint64 // by IDC; the map itself never changes
}

// next is the reply whose turn it is.
func (e *entry) next() *reply {
	if e.schedule == nil {
		return e.choices[0].replies[0]
	}
	now, before := e.schedule.at(e.count.turn.Add(1) - 1)
	c := &e.choices[now]
	c.answered.Add(1)
	if len(c.replies) == 1 {
		return c.replies[0]
	}
	return c.replies[before%uint64(len(c.replies))]
}

// counted is how often an IDC's addresses were answered.
type counted struct {
	name, kind, idc string
	answers         uint64
}

// counts are the answers by name, type and IDC since the first table.
func (t *table) counts() iter.Seq[counted] {
	return func(yield func(counted) bool) {
		for key, n := range t.nodes {
			for _, kind := range addressKinds {
				e := t.entries[entryKey(key, kind)]
				if e.count == nil {
					continue
				}
				for idc, answered := range e.count.answered {
					if !yield(counted{n.name, dns.TypeToString[kind], idc, answered.Load()}) {
						return
					}
				}
			}
		}
	}
}

// answers are the addresses that may be answered for a name now. It is not known if it is no name of a zone.
func (t *table) answers(name string, kind uint16) (addresses []netip.Addr, known bool) {
	e := t.entries[entryKey(wire(dns.CanonicalName(name)), kind)]
	if e == nil || e.count == nil {
		return nil, e != nil
	}
	for _, c := range e.choices {
		addresses = append(addresses, c.addresses...)
	}
	return addresses, true
}

// ttl is the TTL of a name's addresses now, in seconds.
func (t *table) ttl(asked time.Duration) uint32 {
	if t.serving.Degraded {
		return max(1, seconds(asked)/2)
	}
	return seconds(asked)
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// wire is a name in the canonical form as a question has it; empty if it is no name.
func wire(name string) string {
	var b [256]byte
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

// empty tells that the name only is there because of longer ones.
func (n *node) empty() bool {
	if n.data != nil || n.name == n.apex.origin {
		return false
	}
	for _, rr := range n.apex.glue {
		if rr.Header().Name == n.name {
			return false
		}
	}
	return true
}
