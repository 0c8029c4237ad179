package mesh

import "math/bits"

const flagsTotal = "lockkeeper_response_flags_total"

// addFlags counts n requests or connections of an edge under each of their flags. a.mu is held.
func (a *Aggregator) addFlags(e *edge, flags Flags, n uint64) {
	for ; flags != 0 && n > 0; flags &= flags - 1 {
		a.flagOf(e, bits.TrailingZeros64(uint64(flags)), n).add(n, a.merged)
	}
}

// flagOf finds or makes the counter that n are counted by: of one flag of an edge or, beyond the bound, of the edge "other".
func (a *Aggregator) flagOf(e *edge, bit int, n uint64) *counter {
	if c := e.flags[bit]; c != nil && !c.gone {
		return c
	}
	if a.flagCounters >= a.options.MaxSeries && !e.other {
		a.flagOverflow += n
		return a.flagOf(a.otherEdge(e.key), bit, n)
	}
	c := a.newCounter(flagsTotal, append([]Label{{"flag", flagName(bit)}}, e.key.labels()...))
	if e.flags == nil {
		e.flags = map[int]*counter{}
	}
	e.flags[bit] = c
	a.flagCounters++
	return c
}
