package real

import (
	"strings"
	"testing"
)

// rfc8906 are the checks of RFC 8906, section 8, and those that the field's compliance testers add to them: dig's arguments, of which ZONE
// is the zone, and the words wanted of the response (see dig). Of DNS cookies (RFC 7873) nothing is wanted: a server that has none takes them as
// an unknown option.
func rfc8906() []struct{ name, args, want string } {
	const version1 = "BADVERS opt edns0 !SOA !aa !mbz"
	return []struct{ name, args, want string }{
		{"8.1.1 is it configured for the zone", "+noedns +noad +norec soa ZONE", "NOERROR SOA aa !ad !ra !rd !opt"},
		{"8.1.2 unknown type", "+noedns +noad +norec type1000 ZONE", "NOERROR aa !TYPE1000 !SOA authority=SOA"},
		{"8.1.3.1 CD=1", "+noedns +noad +norec +cd soa ZONE", "NOERROR SOA aa !ra"},
		{"8.1.3.2 AD=1", "+noedns +norec +ad soa ZONE", "NOERROR SOA aa !ad"},
		{"8.1.3.3 reserved bit", "+noedns +noad +norec +zflag soa ZONE", "NOERROR SOA aa !mbz"},
		{"8.1.3.4 RD=1", "+noedns +noad +rec soa ZONE", "NOERROR SOA aa rd !ra"},
		{"8.1.4 unknown opcode", "+noedns +noad +opcode=15 +norec +header-only", "NOTIMP opcode=15 empty !aa"},
		{"8.1.4 unknown opcode and flags", "+noedns +opcode=15 +norec +header-only +tcflag +rdflag +raflag +cdflag +adflag +aaflag +zflag", "NOTIMP opcode=15 empty !aa !mbz"},
		{"8.1.5 TCP", "+noedns +noad +norec +tcp soa ZONE", "NOERROR SOA aa by-tcp"},
		{"8.2.1 EDNS", "+nocookie +edns=0 +noad +norec soa ZONE", "NOERROR SOA aa edns0"},
		{"8.2.2 EDNS version", "+nocookie +edns=1 +noednsneg +noad +norec soa ZONE", version1},
		{"8.2.3 unknown option", "+nocookie +edns=0 +noad +norec +ednsopt=100 soa ZONE", "NOERROR SOA aa edns0 !option=100"},
		{"8.2.4 unknown EDNS flag", "+nocookie +edns=0 +noad +norec +ednsflags=0x40 soa ZONE", "NOERROR SOA aa edns0 !mbz"},
		{"8.2.5 EDNS version and flag", "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40 soa ZONE", version1},
		{"8.2.6 EDNS version and option", "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 soa ZONE", version1 + " !option=100"},
		{"8.2.7 small buffer", "+nocookie +norec +dnssec +bufsize=512 +ignore dnskey ZONE", "NOERROR edns0"},
		{"8.2.8 DO=1", "+nocookie +edns=0 +noad +norec +dnssec soa ZONE", "NOERROR SOA aa edns0"},
		{"8.2.9 EDNS version and DO=1", "+nocookie +edns=1 +noednsneg +noad +norec +dnssec soa ZONE", version1},
		{"8.2.10 several options", "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 soa ZONE", "NOERROR SOA aa edns0"},
		{"option NSID", "+nocookie +edns=0 +noad +norec +nsid soa ZONE", "NOERROR SOA aa edns0"},
		{"option EXPIRE", "+nocookie +edns=0 +noad +norec +expire soa ZONE", "NOERROR SOA aa edns0"},
		{"option client subnet", "+nocookie +edns=0 +noad +norec +subnet=192.0.2.0/24 soa ZONE", "NOERROR SOA aa edns0"},
		{"EDNS version and NSID", "+nocookie +edns=1 +noednsneg +noad +norec +nsid soa ZONE", version1},
		{"EDNS version and EXPIRE", "+nocookie +edns=1 +noednsneg +noad +norec +expire soa ZONE", version1},
		{"EDNS version and client subnet", "+nocookie +edns=1 +noednsneg +noad +norec +subnet=192.0.2.0/24 soa ZONE", version1},
		{"EDNS by TCP", "+nocookie +edns=0 +noad +norec +tcp soa ZONE", "NOERROR SOA aa edns0 by-tcp"},
		{"DO=1 and CD=1", "+nocookie +edns=0 +noad +norec +dnssec +cd soa ZONE", "NOERROR SOA aa edns0 !ra"},
	}
}

// TestRFC8906 holds us to the checks; that others pass them holds the checks to the RFC.
func TestRFC8906(t *testing.T) {
	f := func(name string, start func(testing.TB) authority) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			server := start(t)
			for _, check := range rfc8906() {
				t.Run(check.name, func(t *testing.T) {
					words, printed := dig(t, server.address, strings.Fields(strings.ReplaceAll(check.args, "ZONE", zone))...)
					wants(t, check.want, words, printed)
				})
			}
		})
	}
	f("lockkeeper", func(t testing.TB) authority { return startLockkeeper(t, 1) })
	f("gdnsd", func(t testing.TB) authority { return startGdnsd(t, 1) })
	f("BIND", func(t testing.TB) authority { return startNamed(t) })
}
