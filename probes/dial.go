package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// dialer connects as a module wants it.
type dialer struct {
	network  string // ip4 or ip6: which addresses of a name are preferred
	fallback bool   // take the other ones, too
	source   netip.Addr
}

func newDialer(preferred string, fallback bool, source string) dialer {
	d := dialer{network: preferred, fallback: fallback}
	d.source, _ = netip.ParseAddr(source) // empty, or validated
	return d
}

// validate checks the settings of a dialer.
func (d dialer) validate(preferred, source string) error {
	var errs []error
	if preferred != "ip4" && preferred != "ip6" {
		errs = append(errs, fmt.Errorf("preferred_ip_protocol: %q: must be ip4 or ip6", preferred))
	}
	if source != "" && !d.source.IsValid() {
		errs = append(errs, fmt.Errorf("source_ip_address: %q is not an IP", source))
	}
	return errors.Join(errs...)
}

// dial connects to host and port, or to what address names instead of them.
func (d dialer) dial(ctx context.Context, a *attempt, host string, port uint16, address string) (net.Conn, error) {
	return d.dialOver(ctx, "tcp", a, host, port, address)
}

// dialOver does so over tcp or udp.
func (d dialer) dialOver(ctx context.Context, network string, a *attempt, host string, port uint16, address string) (net.Conn, error) {
	var ip netip.Addr
	var err error
	if address == "" {
		ip, err = d.resolve(ctx, a, host)
	} else {
		var other uint16
		if ip, other, err = splitAddress(address); other != 0 {
			port = other
		}
	}
	if err != nil {
		return nil, err
	}
	a.connecting(ip)
	with := net.Dialer{KeepAlive: -1}
	if d.source.IsValid() {
		source := netip.AddrPortFrom(d.source, 0)
		if with.LocalAddr = net.TCPAddrFromAddrPort(source); network == "udp" {
			with.LocalAddr = net.UDPAddrFromAddrPort(source)
		}
	}
	return with.DialContext(ctx, network, netip.AddrPortFrom(ip, port).String())
}

func (d dialer) resolve(ctx context.Context, a *attempt, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip, nil
	}
	a.enter("resolve")
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, ip := range all {
		if ip = ip.Unmap(); ip.Is4() == (d.network == "ip4") {
			return ip, nil
		}
	}
	if d.fallback && len(all) > 0 {
		return all[0].Unmap(), nil
	}
	return netip.Addr{}, &net.DNSError{Err: "no address of " + d.network, Name: host, IsNotFound: true}
}

// splitHostPort reads host:port.
func splitHostPort(target string) (host string, port uint16, err error) {
	host, number, err := net.SplitHostPort(target)
	if err != nil || !isHost(host) {
		return "", 0, fmt.Errorf("%q is not host:port", target)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q: the port must be a number from 1 to 65535", target)
	}
	return host, uint16(n), nil
}

func checkHostPort(target *Target) error {
	_, _, err := splitHostPort(target.Target)
	return err
}

// isHost tells whether s is a name or an IP.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return isName(s) && !strings.HasPrefix(s, "-")
}
