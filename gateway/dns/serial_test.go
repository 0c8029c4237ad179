package dns

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSerials(t *testing.T) {
	loaded := time.UnixMilli(1_800_000_000_000)
	now := func(after time.Duration) uint64 { return uint64(loaded.Add(after).UnixMilli()) }
	first := serials{loaded: loaded}
	f := func(s *serials, version uint64, want uint32) {
		t.Helper()
		require.Equal(t, want, s.next(version))
	}
	const tick = uint32(18_000_000_000 & math.MaxUint32)
	// nothing is served yet: the time of loading
	f(&first, 0, tick)
	// the time of the Serving
	f(&first, now(10*time.Second), tick+100)
	f(&first, now(10*time.Second+100*time.Millisecond), tick+101)
	// several in one tick, and the next
	f(&first, now(10*time.Second+110*time.Millisecond), tick+102)
	f(&first, now(10*time.Second+120*time.Millisecond), tick+103)
	f(&first, now(11*time.Second), tick+110)
	// a version that is no time
	f(&first, 7, tick+111)
	// another server of the zone, that began later, comes to the same serial with the same Serving
	other := serials{loaded: loaded.Add(20 * time.Second)}
	other.next(0)
	f(&first, now(time.Hour), tick+36_000)
	f(&other, now(time.Hour), tick+36_000)
	// a clock before 1970
	f(&serials{loaded: time.UnixMilli(-5)}, 0, 0)
}

// A year and more without change, and the numbers' end, are no way back (RFC 1982).
func TestSerialsNeverGoBack(t *testing.T) {
	s := serials{}
	last := s.next(1)
	for at := uint64(0); at < 1_000_000*1000*3600*24; at += 1000 * 3600 * 24 * 365 * 6 {
		next := s.next(at)
		require.True(t, newer(next, last), "%d after %d", next, last)
		last = next
	}
	require.True(t, newer(0, math.MaxUint32))
	require.False(t, newer(math.MaxUint32, 0))
	require.False(t, newer(5, 5))
}
