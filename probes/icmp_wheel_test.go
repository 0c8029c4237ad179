package probes

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWheel(t *testing.T) {
	var w wheel
	_, ok := w.next()
	require.False(t, ok)
	random := rand.New(rand.NewPCG(1, 2))
	left := map[uint64]int64{}
	now, nonce := int64(0), uint64(0)
	for range 400 {
		for range random.IntN(5) {
			nonce++
			due := now + random.Int64N(3*wheelSlots)
			left[nonce] = due
			w.add(pingEvent{tick: due, nonce: nonce})
		}
		if tick, ok := w.next(); ok && random.IntN(2) == 0 {
			for _, due := range left {
				require.LessOrEqual(t, tick, max(due, w.at))
			}
		}
		now += random.Int64N(2 * 7)
		if random.IntN(100) == 0 {
			now += 3 * wheelSlots
		}
		w.take(now, func(e pingEvent) {
			require.LessOrEqual(t, left[e.nonce], now)
			require.Contains(t, left, e.nonce)
			delete(left, e.nonce)
		})
		for _, due := range left {
			require.Greater(t, due, now-1)
		}
		require.Equal(t, len(left), w.n)
	}
}
