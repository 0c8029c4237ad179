package real

import (
	"strings"
	"testing"
)

// TestAnswers looks at the server by dig: what it says of names, types, classes and operations that there are, and of others.
func TestAnswers(t *testing.T) {
	server := startLockkeeper(t, 1)
	f := func(args, want string) {
		t.Helper()
		words, printed := dig(t, server.address, strings.Fields(strings.ReplaceAll(args, "ZONE", zone))...)
		wants(t, want, words, printed)
	}
	const plain = "+norec +noad +nocookie "
	// addresses
	f(plain+"n0.ZONE a", "NOERROR aa A !authority=NS !authority=SOA edns0")
	f(plain+"n0.ZONE aaaa", "NOERROR aa AAAA !A")
	f(plain+"N0.gSLB.Example.com a", "NOERROR aa A")
	f(plain+"+tcp n0.ZONE a", "NOERROR aa A by-tcp")
	f(plain+"+noedns n0.ZONE a", "NOERROR aa A !opt")
	f(plain+"+dnssec n0.ZONE a", "NOERROR aa A !RRSIG edns0")
	f("+rec n0.ZONE a", "NOERROR aa rd !ra A")
	// the zone
	f(plain+"ZONE soa", "NOERROR aa SOA")
	f(plain+"ZONE ns", "NOERROR aa NS additional=A")
	f(plain+"ns1.ZONE a", "NOERROR aa A")
	f(plain+"ZONE a", "NOERROR aa authority=SOA !A")
	f(plain+"ZONE dnskey", "NOERROR aa authority=SOA !DNSKEY")
	// nothing there
	f(plain+"n0.ZONE txt", "NOERROR aa authority=SOA !TXT")
	f(plain+"missing.ZONE a", "NXDOMAIN aa authority=SOA !A")
	f(plain+"under.n0.ZONE a", "NXDOMAIN aa authority=SOA !A")
	// what it does not say
	f(plain+"example.org a", "REFUSED !aa empty")
	f(plain+"example.com soa", "REFUSED !aa empty")
	f(plain+"version.bind txt ch", "REFUSED !aa empty")
	f(plain+"ZONE axfr", "refused-transfer")
	f(plain+"ZONE ixfr=1", "refused-transfer")
	f(plain+"+opcode=notify ZONE soa", "NOTIMP")
	f(plain+"+opcode=update ZONE soa", "NOTIMP")
	f(plain+"+header-only ZONE", "FORMERR empty")
	// everything, which is little (RFC 8482)
	f(plain+"n0.ZONE any +notcp", "NOERROR aa HINFO !A !AAAA")
	f(plain+"n0.ZONE any +tcp", "NOERROR aa HINFO !A !AAAA")
}
