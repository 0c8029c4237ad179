package dns

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/miekg/dns"
)

// Limits of the TTLs. What nobody may remember is asked for anew by each client; what is remembered for more than a day follows no shift.
const (
	minTTL = time.Second
	maxTTL = 24 * time.Hour
)

// maxAddresses is how many addresses a name or a name server may have of one family: more do not fit into an answer over UDP.
const maxAddresses = 32

// check tells all that is wrong with the zones, each with its path below the key zones.
func check(zones []Zone) error {
	var c checker
	if len(zones) == 0 {
		c.wrong("zones", "there is none: name the zone that is delegated to this server, with its ns and names")
	}
	origins := map[string]bool{}
	for _, z := range zones {
		path := "zones::" + z.Origin
		if origins[z.origin()] {
			c.wrong(path, "is there twice")
		}
		origins[z.origin()] = true
		c.zone(path, z)
	}
	for origin := range origins {
		for other := range origins {
			if origin != other && dns.IsSubDomain(other, origin) {
				c.wrong("zones::"+strings.TrimSuffix(origin, "."), "lies within the zone %s: put its names there", other)
			}
		}
	}
	slices.SortFunc(c.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(c.errs...)
}

// checker collects what is wrong.
type checker struct{ errs []error }

func (c *checker) wrong(path, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (c *checker) zone(path string, z Zone) {
	if !hostname(z.origin()) || z.origin() == "." {
		c.wrong(path, "is not the name of a zone, as gslb.example.com is")
		return
	}
	c.ttl(path+"::ttl", z.TTL)
	c.ttl(path+"::negative_ttl", z.NegativeTTL)
	if len(z.NS) == 0 {
		c.wrong(path+"::ns", "there is none: name the servers that the parent zone delegates to, with their addresses")
	}
	hosts := map[string]bool{}
	for server, addresses := range z.NS {
		hosts[dns.CanonicalName(server)] = true
		c.server(path+"::ns::"+server, z, server, addresses)
	}
	if len(hosts) < len(z.NS) {
		c.wrong(path+"::ns", "a server is there twice")
	}
	if len(z.Names) == 0 {
		c.wrong(path+"::names", "there is none")
	}
	written := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(z.Names)) {
		path, full := path+"::names::"+name, z.full(name)
		switch other, twice := written[full]; {
		case hosts[full]:
			c.wrong(path, "is a name server of the zone, whose addresses are under ns")
		case twice:
			c.wrong(path, "is the same name as %s", other)
		}
		written[full] = name
		c.name(path, z, name)
	}
}

func (c *checker) server(path string, z Zone, server string, addresses []netip.Addr) {
	host := dns.CanonicalName(server)
	inside := dns.IsSubDomain(z.origin(), host)
	switch {
	case !hostname(host) || dns.CountLabel(host) < 2:
		c.wrong(path, "is not the full name of a server, as ns1.%s is", z.Origin)
	case host == z.origin():
		c.wrong(path, "is the zone itself: give the server a name of its own, as ns1.%s", z.Origin)
	case inside && len(addresses) == 0:
		c.wrong(path, "has no address: a server within the zone needs one, or nobody finds it")
	case !inside && len(addresses) > 0:
		c.wrong(path, "is outside of the zone %s: its address is told by its own zone, leave it away here", z.Origin)
	}
	c.addresses(path, addresses, map[netip.Addr]string{})
}

func (c *checker) name(path string, z Zone, name string) {
	full := z.full(name)
	switch {
	case strings.Contains(name, "*"):
		c.wrong(path, "wildcards are not answered: write each name")
	case name == "" || !hostname(full):
		c.wrong(path, "is not a name: write one within the zone, as api, or @ for the zone itself")
	case !dns.IsSubDomain(z.origin(), full):
		c.wrong(path, "is outside of the zone %s: write a name within it, as api", z.Origin)
	}
	data := z.Names[name]
	c.ttl(path+"::ttl", data.TTL)
	if len(data.IDCs) == 0 {
		c.wrong(path+"::idcs", "there is none: name at least one IDC with its addresses")
	}
	seen := map[netip.Addr]string{}
	for _, idc := range data.sites() {
		path := path + "::idcs::" + idc
		if idc == "" {
			c.wrong(path, "has no name")
		}
		if len(data.IDCs[idc]) == 0 {
			c.wrong(path, "has no address")
		}
		c.addresses(path, data.IDCs[idc], seen)
	}
	for _, kind := range addressKinds() {
		count := 0
		for _, addresses := range data.IDCs {
			count += len(pick(addresses, kind))
		}
		if count > maxAddresses {
			c.wrong(path+"::idcs", "has %d addresses of one family: %d at most fit into an answer", count, maxAddresses)
		}
	}
}

func (c *checker) ttl(path string, ttl time.Duration) {
	if ttl < minTTL || ttl > maxTTL || ttl%time.Second != 0 {
		c.wrong(path, "%s is not a TTL: write whole seconds, from 1s to 24h", ttl)
	}
}

// addresses checks addresses that were not seen before.
func (c *checker) addresses(path string, addresses []netip.Addr, seen map[netip.Addr]string) {
	for _, a := range addresses {
		switch other, twice := seen[a]; {
		case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			c.wrong(path, "%s is no address that a client can connect to", a)
		case a.Is4In6():
			c.wrong(path, "%s is an IPv4 address: write %s", a, a.Unmap())
		case twice:
			c.wrong(path, "%s is there twice, see %s", a, other)
		}
		seen[a] = path
	}
}

// hostname tells that a name has only letters, digits, hyphens and underscores between its dots, and is not too long.
func hostname(name string) bool {
	if _, ok := dns.IsDomainName(name); !ok {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.", unicode.ToLower(r))
	})
}
