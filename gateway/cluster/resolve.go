package cluster

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// resolveTime is how long a name may take.
const resolveTime = 5 * time.Second

// resolve looks up the configured addresses whose time has come, all at once. It returns what all of them are, each with the one it is of.
func (j *joiner) resolve(ctx context.Context) map[netip.AddrPort]string {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	var all sync.WaitGroup
	for _, address := range j.addresses {
		all.Go(func() { j.lookUp(ctx, address) })
	}
	all.Wait()
	of := map[netip.AddrPort]string{}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, address := range j.addresses {
		for _, at := range j.targets[address].resolved {
			of[at] = address
		}
	}
	return of
}

func (j *joiner) lookUp(ctx context.Context, address string) {
	j.mu.Lock()
	t := j.targets[address]
	due := time.Since(t.looked) >= tryEvery || t.resolved == nil && time.Since(t.looked) >= aloneEvery
	j.mu.Unlock()
	if !due {
		return
	}
	resolved, err := resolve(ctx, address)
	j.mu.Lock()
	defer j.mu.Unlock()
	t.looked = time.Now()
	if err != nil {
		t.err = err // what it was before may still be right
		return
	}
	t.resolved = resolved
}

func resolve(ctx context.Context, address string) (resolved []netip.AddrPort, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, ip := range ips {
		resolved = append(resolved, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return resolved, err
}

// lookUpOne is an address of host:port, of IPv4 if there is one; one without a host is every address of this machine.
func lookUpOne(ctx context.Context, address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" {
		number, err := strconv.ParseUint(port, 10, 16)
		return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(number)), err
	}
	all, err := resolve(ctx, address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, at := range all {
		if at.Addr().Is4() {
			return at, nil
		}
	}
	return all[0], nil
}
