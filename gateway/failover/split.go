package failover

import "slices"

// split shares whole out in proportion to parts, to the last unit and always alike: what rounding leaves goes to the largest remainders, of
// equal ones to the first. Parts that are all 0 count as equal; without parts there is nothing.
func split(whole uint32, parts []float64) []uint32 {
	var sum float64
	for _, part := range parts {
		sum += part
	}
	if sum == 0 {
		parts = slices.Repeat([]float64{1}, len(parts))
		sum = float64(len(parts))
	}
	shares := make([]uint32, len(parts))
	rest := make([]float64, len(parts))
	left := whole
	for i, part := range parts {
		exact := float64(whole) * part / sum
		shares[i] = min(uint32(exact), left)
		rest[i] = exact - float64(shares[i])
		left -= shares[i]
	}
	for ; left > 0 && len(parts) > 0; left-- {
		most := 0
		for i := range rest {
			if rest[i] > rest[most] {
				most = i
			}
		}
		shares[most]++
		rest[most]--
	}
	return shares
}
