package dns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	f := func(spoil func(z *Zone, api *Name), want ...string) {
		t.Helper()
		z := testZone()
		api := z.Names["api"]
		z.Names = map[string]Name{}
		spoil(&z, &api)
		z.Names["api"] = api
		err := check([]Zone{z})
		if len(want) == 0 {
			require.NoError(t, err)
			return
		}
		require.EqualError(t, err, strings.Join(want, "\n"))
	}
	const zone = "zones::gslb.example.com"
	name := func(written string) func(z *Zone, api *Name) {
		return func(z *Zone, api *Name) { z.Names[written] = *api }
	}
	idc := func(addresses ...string) func(z *Zone, api *Name) {
		return func(_ *Zone, api *Name) { api.IDCs["idc1"] = addrs(addresses...) }
	}

	// names as they may be
	f(func(*Zone, *Name) {})
	f(name("@"))
	f(name("eu.api"))
	f(name("_sip._tcp"))
	f(name("other.gslb.example.com"))
	f(name("Other.GSLB.example.com."))
	// and as they may not be
	f(name("api.example.com"), zone+"::names::api.example.com: is outside of the zone gslb.example.com: write a name within it, as api")
	f(name("api.org."), zone+"::names::api.org.: is outside of the zone gslb.example.com: write a name within it, as api")
	f(name("*"), zone+"::names::*: wildcards are not answered: write each name")
	f(name("*.api"), zone+"::names::*.api: wildcards are not answered: write each name")
	f(name(""), zone+"::names::: is not a name: write one within the zone, as api, or @ for the zone itself")
	f(name("a..b"), zone+"::names::a..b: is not a name: write one within the zone, as api, or @ for the zone itself")
	f(name("a b"), zone+"::names::a b: is not a name: write one within the zone, as api, or @ for the zone itself")
	f(name(strings.Repeat("a", 64)),
		zone+"::names::"+strings.Repeat("a", 64)+": is not a name: write one within the zone, as api, or @ for the zone itself")
	f(name("API"), zone+"::names::api: is the same name as API")
	f(name("ns1"), zone+"::names::ns1: is a name server of the zone, whose addresses are under ns")
	// addresses
	f(idc(), zone+"::names::api::idcs::idc1: has no address")
	f(idc("127.1.0.1", "127.1.0.1"), zone+"::names::api::idcs::idc1: 127.1.0.1 is there twice, see "+zone+"::names::api::idcs::idc1")
	f(idc("127.2.0.1"), zone+"::names::api::idcs::idc2: 127.2.0.1 is there twice, see "+zone+"::names::api::idcs::idc1")
	f(idc("0.0.0.0"), zone+"::names::api::idcs::idc1: 0.0.0.0 is no address that a client can connect to")
	f(idc("ff02::1"), zone+"::names::api::idcs::idc1: ff02::1 is no address that a client can connect to")
	f(idc("fe80::1%eth0"), zone+"::names::api::idcs::idc1: fe80::1%eth0 is no address that a client can connect to")
	f(idc("::ffff:127.1.0.1"), zone+"::names::api::idcs::idc1: ::ffff:127.1.0.1 is an IPv4 address: write 127.1.0.1")
	f(func(_ *Zone, api *Name) { api.IDCs["idc1"] = []netip.Addr{{}} },
		zone+"::names::api::idcs::idc1: invalid IP is no address that a client can connect to")
	f(func(_ *Zone, api *Name) { api.IDCs["idc1"] = sequence("127.1.1.0", 32) },
		zone+"::names::api::idcs: has 33 addresses of one family: 32 at most fit into an answer")
	f(func(_ *Zone, api *Name) { api.IDCs = nil }, zone+"::names::api::idcs: there is none: name at least one IDC with its addresses")
	// TTLs
	f(func(_ *Zone, api *Name) { api.TTL = 0 }, zone+"::names::api::ttl: 0s is not a TTL: write whole seconds, from 1s to 24h")
	f(func(_ *Zone, api *Name) { api.TTL = 1500 * time.Millisecond }, zone+"::names::api::ttl: 1.5s is not a TTL: write whole seconds, from 1s to 24h")
	f(func(z *Zone, _ *Name) { z.TTL = 25 * time.Hour }, zone+"::ttl: 25h0m0s is not a TTL: write whole seconds, from 1s to 24h")
	// name servers
	f(func(z *Zone, _ *Name) { z.NS = nil }, zone+"::ns: there is none: name the servers that the parent zone delegates to, with their addresses")
	f(func(z *Zone, _ *Name) { z.NS["ns1.gslb.example.com"] = nil },
		zone+"::ns::ns1.gslb.example.com: has no address: a server within the zone needs one, or nobody finds it")
	f(func(z *Zone, _ *Name) { z.NS["ns.example.net"] = addrs("127.0.0.1") },
		zone+"::ns::ns.example.net: is outside of the zone gslb.example.com: its address is told by its own zone, leave it away here")
	f(func(z *Zone, _ *Name) { z.NS["ns1"] = addrs("127.0.0.1") },
		zone+"::ns::ns1: is not the full name of a server, as ns1.gslb.example.com is")
	f(func(z *Zone, _ *Name) { z.NS["NS1.gslb.example.com."] = addrs("127.0.0.1") }, zone+"::ns: a server is there twice")
	f(func(z *Zone, _ *Name) { z.NS["gslb.example.com"] = addrs("127.0.0.1") },
		zone+"::ns::gslb.example.com: is the zone itself: give the server a name of its own, as ns1.gslb.example.com")
	// all at once
	f(func(z *Zone, api *Name) { z.NegativeTTL, api.TTL = 0, 0 },
		zone+"::names::api::ttl: 0s is not a TTL: write whole seconds, from 1s to 24h",
		zone+"::negative_ttl: 0s is not a TTL: write whole seconds, from 1s to 24h")
}

func TestCheckZones(t *testing.T) {
	f := func(want string, origins ...string) {
		t.Helper()
		var zones []Zone
		for _, origin := range origins {
			z := testZone()
			z.Origin, z.NS = origin, map[string][]netip.Addr{"ns.example.net": nil}
			zones = append(zones, z)
		}
		if want == "" {
			require.NoError(t, check(zones))
			return
		}
		require.EqualError(t, check(zones), want)
	}
	f("", "gslb.example.com", "gslb.example.org")
	f("zones: there is none: name the zone that is delegated to this server, with its ns and names")
	f("zones::gslb..com: is not the name of a zone, as gslb.example.com is", "gslb..com")
	f("zones::.: is not the name of a zone, as gslb.example.com is", ".")
	f("zones::GSLB.example.com.: is there twice", "gslb.example.com", "GSLB.example.com.")
	f("zones::eu.gslb.example.com: lies within the zone gslb.example.com.: put its names there", "gslb.example.com", "eu.gslb.example.com")
}
