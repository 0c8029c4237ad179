package dns

import (
	"fmt"

	"github.com/lockkeeper/lockkeeper/xds"
)

// schedule says whose turn it is. It holds one round; then it begins anew. The turns of each choice are spread evenly over the round
// (smooth weighted round robin), so that 1:1 alternates, and of any 10,000 answers 1 % is 100.
type schedule struct {
	slots []slot
	turns []uint64 // of each choice in a round
}

// slot is one turn.
type slot struct {
	choice uint16
	rank   uint16 // how many turns the choice had in this round before
}

// newSchedule makes the schedule of weights. Their sum is positive; a weight 0 never has a turn.
func newSchedule(weights []uint32) *schedule {
	weights = reduce(weights)
	total := sum(weights)
	s := &schedule{slots: make([]slot, total), turns: make([]uint64, len(weights))}
	credit := make([]int64, len(weights))
	for i := range s.slots {
		best := -1
		for c, w := range weights {
			if credit[c] += int64(w); w > 0 && (best < 0 || credit[c] > credit[best]) {
				best = c
			}
		}
		credit[best] -= int64(total)
		s.slots[i] = slot{choice: uint16(best), rank: uint16(s.turns[best])}
		s.turns[best]++
	}
	return s
}

// at is whose turn it is, and how many turns it had before.
func (s *schedule) at(turn uint64) (choice int, before uint64) {
	if len(s.slots) == 1 {
		return int(s.slots[0].choice), turn
	}
	length := uint64(len(s.slots))
	round := turn / length
	now := s.slots[turn-round*length]
	return int(now.choice), round*s.turns[now.choice] + uint64(now.rank)
}

// reduce makes the weights as small as they can be in the same ratio. Weights that sum to more than xds.Whole, which nobody should hand out,
// are made smaller at the cost of exactness.
func reduce(weights []uint32) []uint32 {
	reduced := make([]uint32, len(weights))
	total, divisor := sum(weights), uint64(0)
	for i, w := range weights {
		if total > xds.Whole && w > 0 {
			w = max(1, uint32(uint64(w)*xds.Whole/total))
		}
		reduced[i] = w
		divisor = gcd(uint64(w), divisor)
	}
	for i := range reduced {
		reduced[i] /= uint32(divisor)
	}
	return reduced
}

// scheduleOf is the schedule of weights among those made already, or a new one.
func scheduleOf(weights []uint32, made map[string]*schedule) *schedule {
	key := fmt.Sprint(weights)
	if made[key] == nil {
		made[key] = newSchedule(weights)
	}
	return made[key]
}

func sum(weights []uint32) (total uint64) {
	for _, w := range weights {
		total += uint64(w)
	}
	return total
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
