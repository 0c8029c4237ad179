// Package dns answers for the zones that are delegated to the gateway: the addresses of the data centres, as xds.Serving says. A Serving comes
// in and becomes an immutable table; queries come in and are answered from it. It never resolves, forwards or transfers anything, and never
// says that a name does not exist because of somebody's health.
package dns

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Zone is what there is to know of a delegated zone, in which nothing else lives. Whether it is right is for check to tell.
type Zone struct {
	Origin      string                  // gslb.example.com
	NS          map[string][]netip.Addr // the name servers by full name; their addresses (the glue) if they are within the zone, else none
	Names       map[string]Name         // by name within the zone (api, api.eu, @ for the zone itself), or by full name
	TTL         time.Duration           // of SOA, NS and the name servers' addresses
	NegativeTTL time.Duration           // how long resolvers remember that there is no such name or record (RFC 2308)
}

// Name is a name of a zone, with its addresses in each IDC.
type Name struct {
	TTL  time.Duration // while Serving is degraded half of it, but a second at least
	All  bool          // answer all addresses of an IDC, and those of all IDCs while their weights are equal; else one address per answer
	IDCs map[string][]netip.Addr
}

func (z Zone) origin() string { return dns.CanonicalName(z.Origin) }

// full is the full name of a name of the zone. It is outside of the zone if it was written so: with a dot at its end, or with an end that it shares
// with the zone's own name (api.example.com in gslb.example.com).
func (z Zone) full(name string) string {
	origin, canonical := z.origin(), dns.CanonicalName(name)
	switch {
	case name == "@":
		return origin
	case strings.HasSuffix(name, "."), dns.IsSubDomain(origin, canonical), dns.CompareDomainName(origin, canonical) > 1:
		return canonical
	}
	return canonical + origin
}

// servers are the names of the name servers in order.
func (z Zone) servers() []string { return slices.Sorted(maps.Keys(z.NS)) }

// sites are the name's IDCs in order.
func (n Name) sites() []string { return slices.Sorted(maps.Keys(n.IDCs)) }

// addressKinds are the types of records that names have.
func addressKinds() [2]uint16 { return [...]uint16{dns.TypeA, dns.TypeAAAA} }

// pick are the addresses for one type of record.
func pick(addresses []netip.Addr, kind uint16) (picked []netip.Addr) {
	for _, a := range addresses {
		if a.Is4() == (kind == dns.TypeA) {
			picked = append(picked, a)
		}
	}
	return picked
}
