package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// askEach is how often each DNS server is asked.
const askEach = 50 * time.Millisecond

// A follower asks one DNS server all the time, for the address and for the serial of the zone.
type follower struct {
	server string

	mu   sync.Mutex
	seen []sighting
}

// A sighting is what a server answered.
type sighting struct {
	at     time.Time
	ip     netip.Addr
	serial uint32
}

func (f *follower) run(ctx context.Context) {
	client := &dns.Client{Timeout: 500 * time.Millisecond}
	tick := time.NewTicker(askEach)
	defer tick.Stop()
	for ctx.Err() == nil {
		if s, ok := f.ask(ctx, client); ok {
			f.mu.Lock()
			f.seen = append(f.seen, s)
			f.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// ask is not ok while there is no answer.
func (f *follower) ask(ctx context.Context, client *dns.Client) (s sighting, ok bool) {
	one, _, err := client.ExchangeContext(ctx, new(dns.Msg).SetQuestion(gatewayName, dns.TypeA), f.server)
	if err != nil {
		return s, false
	}
	if s.ip, err = onlyAddress(one); err != nil {
		return s, false
	}
	two, _, err := client.ExchangeContext(ctx, new(dns.Msg).SetQuestion(zoneName, dns.TypeSOA), f.server)
	if err != nil || len(two.Answer) != 1 {
		return s, false
	}
	soa, ok := two.Answer[0].(*dns.SOA)
	if ok {
		s.at, s.serial = time.Now(), soa.Serial
	}
	return s, ok
}

// zoneName is the zone of gatewayName.
const zoneName = "gslb.example.com."

// between are the sightings in a span of time.
func (f *follower) between(from, to time.Time) []sighting {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.seen), func(s sighting) bool { return s.at.Before(from) || s.at.After(to) })
}

// last tells when an address was answered last, at or after a time; zero: it was not.
func (f *follower) last(ip netip.Addr, from time.Time) (at time.Time) {
	for _, s := range f.between(from, time.Now()) {
		if s.ip == ip {
			at = s.at
		}
	}
	return at
}

// answered are the serials and the addresses of a span of time, ascending.
func (f *follower) answered(from, to time.Time) (serials []uint32, addresses []netip.Addr) {
	ips, numbers := map[netip.Addr]bool{}, map[uint32]bool{}
	for _, s := range f.between(from, to) {
		ips[s.ip], numbers[s.serial] = true, true
	}
	return slices.Sorted(maps.Keys(numbers)), slices.SortedFunc(maps.Keys(ips), netip.Addr.Compare)
}

// wentBack tells of the first serial that was lower than the one before.
func (f *follower) wentBack() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := 1; i < len(f.seen); i++ {
		if now, was := f.seen[i].serial, f.seen[i-1].serial; int32(now-was) < 0 {
			return fmt.Errorf("%s: serial %d after %d", f.server, now, was)
		}
	}
	return nil
}

// longestApart is the longest time in which two servers had different serials.
func longestApart(a, b []sighting) (longest time.Duration) {
	var since time.Time
	for i, j := 0, 0; i < len(a) && j < len(b); {
		later := a[i].at
		if b[j].at.After(later) {
			later = b[j].at
		}
		if a[i].serial != b[j].serial && since.IsZero() {
			since = later
		}
		if !since.IsZero() {
			longest = max(longest, later.Sub(since))
		}
		if a[i].serial == b[j].serial {
			since = time.Time{}
		}
		if j+1 == len(b) || i+1 < len(a) && a[i+1].at.Before(b[j+1].at) {
			i++
		} else {
			j++
		}
	}
	return longest
}
