package channel

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// dialWithin is how long a connection may take to come about.
const dialWithin = 10 * time.Second

// Dialer connects to public addresses and to those in allow, which are prefixes such as 10.0.0.0/8. Each address is looked at
// when it is connected to, so that no name can lead elsewhere: link-local ones and those of clouds' metadata are refused,
// whatever allow says. The error names the prefix that is none.
func Dialer(allow []string) (*net.Dialer, error) {
	var g guard
	for i, text := range allow {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || within(never(), prefix.Addr()) {
			return nil, fmt.Errorf("allow[%d]: want a prefix such as 10.0.0.0/8, outside of link-local and metadata addresses", i)
		}
		g.allow = append(g.allow, prefix)
	}
	return &net.Dialer{Timeout: dialWithin, ControlContext: g.control}, nil
}

type guard struct{ allow []netip.Prefix }

// control is called with the address that a name was resolved to, before the connection is made.
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := plain(target.Addr())
	switch {
	case within(never(), ip):
		return &refusedError{fmt.Sprintf("%s is an address that is never connected to", ip)}
	case within(private(), ip) && !within(g.allow, ip):
		return &refusedError{fmt.Sprintf("%s is not a public address: if it is meant, put it into allow: [%s]", ip, netip.PrefixFrom(ip, ip.BitLen()))}
	}
	return nil
}

// refusedError is one that a second try cannot cure.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

func within(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// plain is the address itself, or the IPv4 address that it leads to: mapped, NAT64 (RFC 6052), 6to4 (RFC 3056), compatible (RFC 4291).
func plain(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip
	}
	b := ip.As16()
	switch {
	case within(prefixes("64:ff9b::/96"), ip), within(prefixes("::/96"), ip) && b[12] != 0:
		return netip.AddrFrom4([4]byte(b[12:16]))
	case within(prefixes("2002::/16"), ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}

// never are unspecified, link-local, multicast and reserved addresses, and where clouds tell secrets to their machines: EC2's by IPv6,
// Alibaba's, Azure's, Oracle's. All others of them are link-local.
func never() []netip.Prefix {
	return prefixes("0.0.0.0/8 ::/128 169.254.0.0/16 fe80::/10 224.0.0.0/4 ff00::/8 240.0.0.0/4 " +
		"fd00:ec2::/64 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32")
}

// private are the addresses that are somebody's own (RFC 6890).
func private() []netip.Prefix {
	return prefixes("127.0.0.0/8 ::1/128 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 192.0.0.0/24 198.18.0.0/15 fc00::/7 fec0::/10")
}

func prefixes(text string) []netip.Prefix {
	var list []netip.Prefix
	for _, one := range strings.Fields(text) {
		list = append(list, netip.MustParsePrefix(one))
	}
	return list
}
