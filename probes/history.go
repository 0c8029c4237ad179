package probes

import (
	"slices"
	"time"
)

const (
	historyMinutes = 10 // that a target remembers
	historyTimes   = 60 // probes of a minute whose median is told: the last that were well
)

// minute is what became of the probes of a target that began in one minute.
type minute struct {
	number int32 // since the epoch
	ok     int32
	bad    int32
	p50    float32 // milliseconds, of those that were well; of the newest minute it is not known yet
}

// history is the last minutes of a target.
type history struct {
	minutes [historyMinutes]minute // by number
	newest  int32
	took    []float32 // milliseconds, in the newest minute
	since   time.Time // when the results became as they are; zero: there was none
}

// add takes a result; last is the one before.
func (h *history) add(at time.Time, last, now *Result) {
	if h.since.IsZero() || last.OK != now.OK {
		h.since = at
	}
	number := minuteOf(at)
	m := &h.minutes[number%historyMinutes]
	if number > h.newest {
		h.minutes[h.newest%historyMinutes].p50 = h.median()
		h.newest, h.took = number, h.took[:0]
		*m = minute{number: number}
	}
	switch {
	case m.number != number: // it took longer than anything is remembered
	case !now.OK:
		m.bad++
	default:
		if number == h.newest && len(h.took) < historyTimes {
			h.took = append(h.took, milliseconds(now.Took))
		} else if number == h.newest {
			h.took[m.ok%historyTimes] = milliseconds(now.Took)
		}
		m.ok++
	}
}

// median is that of the newest minute; 0 without any.
func (h *history) median() float32 {
	if len(h.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(h.took))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// last returns the minutes up to now with any result, oldest first.
func (h *history) last(now time.Time) []minute {
	minutes := []minute{}
	current := minuteOf(now)
	for number := current - historyMinutes + 1; number <= current; number++ {
		m := h.minutes[number%historyMinutes]
		if m.number != number {
			continue
		}
		if number == h.newest {
			m.p50 = h.median()
		}
		minutes = append(minutes, m)
	}
	return minutes
}

func minuteOf(at time.Time) int32 { return int32(max(0, at.Unix()) / 60) }

func milliseconds(d time.Duration) float32 { return float32(d.Microseconds()) / 1000 }
