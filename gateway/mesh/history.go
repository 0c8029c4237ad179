package mesh

import (
	"slices"
	"time"
)

const (
	historyMinutes = 60 // that an edge remembers
	usualMinutes   = 5  // that it has to remember before anything is usual
	slotsOfMinute  = int64(time.Minute / edgeSlotTime)
)

// minute is what an edge was in one minute.
type minute struct {
	requests, errors uint32
	p99              float32 // milliseconds
}

// history is the last minutes of an edge, each of which it saw whole. What is in it never changes, so it may be copied and read without a lock.
type history struct {
	last    int64    // the newest minute, since the epoch
	minutes []minute // oldest first
}

func minuteNumber(at time.Time) int64 { return at.Unix() / 60 }

// at is a minute by its number.
func (h *history) at(number int64) (m minute, ok bool) {
	i := int64(len(h.minutes)) - 1 - (h.last - number)
	if i < 0 || i >= int64(len(h.minutes)) {
		return minute{}, false
	}
	return h.minutes[i], true
}

// add appends the minute after the last one.
func (h *history) add(m minute) {
	h.last++
	if len(h.minutes) == historyMinutes {
		h.minutes = h.minutes[1:] // what is before stays as it is, for those who read it
	}
	if len(h.minutes) == historyMinutes-1 && cap(h.minutes) == len(h.minutes) {
		h.minutes = slices.Grow(h.minutes, historyMinutes/4)
	}
	h.minutes = append(h.minutes, m)
}

// sum is the history of two edges as one, over the minutes that either knows.
func (h history) sum(o history) history {
	if len(o.minutes) > len(h.minutes) {
		h, o = o, h
	}
	sum := history{last: h.last, minutes: slices.Clone(h.minutes)}
	for i := range sum.minutes {
		if m, ok := o.at(h.last - int64(len(sum.minutes)-1-i)); ok {
			to := &sum.minutes[i]
			to.requests, to.errors, to.p99 = to.requests+m.requests, to.errors+m.errors, max(to.p99, m.p99)
		}
	}
	return sum
}

// endMinute has the edges remember the minute that is over at now, before anything of the next one is counted. Minutes in which nobody looked are
// a gap, and what was before one is forgotten. a.mu is held.
func (a *Aggregator) endMinute(now time.Time) {
	over, current := minuteNumber(a.merged), minuteNumber(now)
	if current <= over {
		return
	}
	for _, e := range a.edges {
		switch {
		case e.history.last >= over: // it began in that minute
		case current > over+1 || e.history.last < over-1:
			e.history = history{last: current - 1}
		default:
			e.history.add(e.minute(over))
		}
	}
}

// minute sums the slots of a minute, which have to be there still.
func (e *edge) minute(number int64) (m minute) {
	var durations [bucketCount]uint64
	for i := range e.slots {
		slot := &e.slots[i]
		if slot.number/slotsOfMinute != number {
			continue
		}
		m.requests += uint32(slot.requests)
		m.errors += uint32(slot.errors)
		for i, n := range slot.durations {
			durations[i] += n
		}
	}
	m.p99 = float32(quantile(.99, &durations))
	return m
}

// median is the middle one of some values, whose order it changes; ok is false while there are too few to call anything usual.
func median(values []float64) (middle float64, ok bool) {
	if len(values) < usualMinutes {
		return 0, false
	}
	half := len(values) / 2
	for low, high := 0, len(values)-1; low < high; { // Hoare's selection: a fifth of what sorting takes
		pivot, i, j := values[(low+high)/2], low, high
		for i <= j {
			for values[i] < pivot {
				i++
			}
			for values[j] > pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i, j = i+1, j-1
			}
		}
		if half > j {
			low = i
		}
		if half < i {
			high = j
		}
	}
	if len(values)%2 == 1 {
		return values[half], true
	}
	return (slices.Max(values[:half]) + values[half]) / 2, true
}
