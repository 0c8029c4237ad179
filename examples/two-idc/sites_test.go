package main

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// Each answer holds until the next one of the same server.
func TestLongestApart(t *testing.T) {
	sightings := func(serials ...uint32) (all []sighting) {
		for i, serial := range serials {
			if serial != 0 {
				all = append(all, sighting{at: time.Unix(int64(i), 0), serial: serial})
			}
		}
		return all
	}
	f := func(want int, a, b []sighting) {
		t.Helper()
		for range 2 {
			if got := longestApart(a, b); got != time.Duration(want)*time.Second {
				t.Errorf("%v, want %d s", got, want)
			}
			a, b = b, a
		}
	}
	f(0, sightings(), sightings(1, 2))
	f(0, sightings(1, 1, 2), sightings(1, 1, 2))
	f(1, sightings(1, 2, 2, 2), sightings(1, 1, 2, 2))
	f(3, sightings(1, 2, 2, 2, 2), sightings(1, 1, 1, 1, 2))
	f(2, sightings(1, 2, 2, 2), sightings(1, 1, 1, 1))       // they are apart in the end
	f(2, sightings(1, 0, 2, 0, 2), sightings(1, 1, 1, 1, 2)) // one was not heard of meanwhile
}

func TestFollower(t *testing.T) {
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	f := &follower{seen: []sighting{{at(1), one, 7}, {at(2), two, 7}, {at(3), one, 8}}}
	serials, addresses := f.answered(at(2), at(3))
	if !reflect.DeepEqual(serials, []uint32{7, 8}) || !reflect.DeepEqual(addresses, []netip.Addr{one, two}) {
		t.Errorf("%v, %v", serials, addresses)
	}
	if last := f.last(two, at(1)); !last.Equal(at(2)) || !f.last(two, at(3)).IsZero() {
		t.Errorf("%v", last)
	}
	if err := f.wentBack(); err != nil {
		t.Error(err)
	}
	if f.seen = append(f.seen, sighting{at(4), one, 6}); f.wentBack() == nil {
		t.Error("a serial went back")
	}
}

// What gateways decide by is the same on all of them.
func TestSitesHaveTheSameFailover(t *testing.T) {
	read := func(text []byte) any {
		var config struct {
			Extensions struct{ Failover, Cluster any }
		}
		if err := yaml.Unmarshal(text, &config); err != nil || config.Extensions.Failover == nil {
			t.Fatal(err, config)
		}
		return config.Extensions
	}
	if one, other := read(sitesConfig), read(witnessConfig); !reflect.DeepEqual(one, other) {
		t.Errorf("%v\n%v", one, other)
	}
}
