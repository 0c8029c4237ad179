package dns

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSchedule(t *testing.T) {
	f := func(want []int, weights ...uint32) {
		t.Helper()
		s, got := newSchedule(weights), []int(nil)
		for turn := range uint64(len(want)) {
			choice, _ := s.at(turn)
			got = append(got, choice)
		}
		require.Equal(t, want, got)
	}
	f([]int{0, 0, 0}, 10_000)
	f([]int{0, 1, 0, 1, 0}, 5000, 5000)
	f([]int{1, 1, 1}, 0, 10_000)
	f([]int{0, 0, 1, 0, 0, 0, 1, 0}, 7500, 2500)
	f([]int{0, 1, 2, 0, 1, 2}, 1, 1, 1)
}

// However unlike the weights are, an IDC that has so many turns in all has about as many of any part.
func TestScheduleIsEven(t *testing.T) {
	f := func(weights ...uint32) {
		t.Helper()
		s, had := newSchedule(weights), make([]uint64, len(weights))
		total := float64(sum(weights))
		for turn := range uint64(30_000) {
			choice, before := s.at(turn)
			require.Equal(t, had[choice], before)
			had[choice]++
			for c, w := range weights {
				require.InDelta(t, float64(turn+1)*float64(w)/total, float64(had[c]), 1.5)
			}
		}
	}
	f(5000, 5000)
	f(9900, 100)
	f(9999, 1)
	f(3333, 6667)
	f(2000, 3000, 5000)
	f(10_000)
}
