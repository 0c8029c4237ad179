package main

import (
	"net/netip"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	f := func(want time.Duration, all ...time.Duration) {
		t.Helper()
		if got := median(all); got != want {
			t.Errorf("median of %v is %v, want %v", all, got, want)
		}
	}
	f(3, 3)
	f(2, 3, 1)
	f(2, 9, 1, 2)
	f(4, 9, 1, 3, 5)
}

// After a time all clients must be elsewhere, and well; what failed before is told.
func TestClientsMoved(t *testing.T) {
	died := time.Now()
	one, two := netip.MustParseAddr("127.1.0.1"), netip.MustParseAddr("127.2.0.1")
	at := func(seconds int, ip netip.Addr, ok bool) visit {
		begin := died.Add(time.Duration(seconds) * time.Second)
		return visit{at: begin, end: begin.Add(time.Second / 2), ip: ip, ok: ok}
	}
	f := func(want time.Duration, wantErr bool, all ...visit) {
		t.Helper()
		got, err := (&clients{all: all}).moved(one, died, died.Add(10*time.Second))
		if got != want || (err != nil) != wantErr {
			t.Errorf("%v, %v", got, err)
		}
	}
	f(2500*time.Millisecond, false, at(-1, one, false), at(1, one, false), at(2, one, false), at(3, two, true), at(11, two, true))
	f(0, false, at(-1, one, false), at(11, two, true))
	f(0, true, at(11, one, true))
	f(0, true, at(11, two, false))
	f(0, true, at(3, two, true))
}
