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
	f(&first, now(10*time.Second+110*time.Millisecond), tick+101)
	f(&first, now(10*time.Second+199*time.Millisecond), tick+101)
	f(&first, now(11*time.Second), tick+110)
	// a version that is no time
	f(&first, 7, tick+110)
	// other servers of the zone come to the same serial with the same Serving: one that began later, and one that saw another in the same moment
	other, third := serials{loaded: loaded.Add(2 * time.Hour)}, serials{loaded: loaded}
	third.next(now(time.Hour) - 1)
	third.next(now(time.Hour) + 1)
	f(&first, now(time.Hour)+2, tick+36_000)
	f(&other, now(time.Hour)+2, tick+36_000)
	f(&third, now(time.Hour)+2, tick+36_000)
	// a clock before 1970
	f(&serials{loaded: time.UnixMilli(-5)}, 0, 0)
}

// A year and more without change, and the numbers' end, are no way back (RFC 1982).
func TestSerialsNeverGoBack(t *testing.T) {
	s := serials{}
	last := s.next(1)
	for at := uint64(0); at < 1_000_000*1000*3600*24; at += 1000 * 3600 * 24 * 365 * 6 {
		next := s.next(at)
		require.False(t, newer(last, next), "%d after %d", next, last)
		last = next
	}
	require.True(t, newer(0, math.MaxUint32))
	require.False(t, newer(math.MaxUint32, 0))
	require.False(t, newer(5, 5))
}
