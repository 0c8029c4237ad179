package pluginhost

import "time"

// flow is how much of something passes: rate a second on average, and burst at once.
type flow struct {
	rate, burst float64

	ahead float64 // of the average
	at    time.Time
}

// admit lets n pass, or tells that it is too much.
func (f *flow) admit(n float64, now time.Time) bool {
	if f.settle(now); f.ahead+n > f.burst {
		return false
	}
	f.ahead += n
	return true
}

// delay lets n pass and tells how long to wait before more may.
func (f *flow) delay(n float64, now time.Time) time.Duration {
	f.settle(now)
	f.ahead += n
	return time.Duration(max(0, f.ahead-f.burst) / f.rate * float64(time.Second))
}

func (f *flow) settle(now time.Time) {
	if past := now.Sub(f.at); past > 0 {
		f.ahead, f.at = max(0, f.ahead-f.rate*past.Seconds()), now
	}
}
