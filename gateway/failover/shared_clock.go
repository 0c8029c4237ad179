package failover

import (
	"sync/atomic"
	"time"
)

// mostAhead is how far another gateway's clock may be ahead of this one's. What it says from further ahead is refused: the last word holds, and
// one from next year would hold until then.
const mostAhead = time.Minute

// clock is the time that gateways share: this one's, plus how far the one that is furthest ahead is ahead of it. Within one gateway it goes as fast
// as time does, whatever becomes of the wall clock. It may be read concurrently. Nil is a gateway alone, whose time is its own.
type clock struct {
	began  time.Time
	mended atomic.Int64 // by how much the wall clock, which was wrong at the start, has been set since, as far as it is believed
	offset atomic.Int64
}

// at is the shared time at a moment of this gateway's.
func (c *clock) at(own time.Time) time.Time {
	if c == nil || own.IsZero() {
		return own
	}
	return c.own(own).Add(time.Duration(c.offset.Load()))
}

// own is a moment by the wall clock as it was at the start and has gone on since.
func (c *clock) own(t time.Time) time.Time {
	return c.began.Round(0).Add(t.Sub(c.began) + time.Duration(c.mended.Load())).UTC()
}

// wrong tells, of a time that another gateway's clock shows now, whether this gateway's clock was wrong at the start and the wall clock has been
// mended since: the other one is far from this gateway's time, and near the wall clock. A wall clock that is set wrong while the gateway
// runs is far from the others, so nobody follows it.
func (c *clock) wrong(stamp int64, own time.Time) bool {
	told := time.Unix(0, stamp)
	return told.Sub(c.at(own)).Abs() > mostAhead && told.Sub(own.Round(0)).Abs() <= mostAhead
}

// mend goes on by the wall clock, and tells how far that was from the time until now.
func (c *clock) mend(own time.Time) (by time.Duration) {
	by = own.Round(0).Sub(c.own(own))
	c.mended.Add(int64(by))
	c.offset.Store(0)
	return by
}

// ownAt is the moment of this gateway's at which the shared time is t.
func (c *clock) ownAt(t time.Time) time.Time {
	if c == nil {
		return t
	}
	return t.Add(-time.Duration(c.offset.Load()))
}

// saw learns of another's time. false: it is too far ahead, and nothing was learned.
func (c *clock) saw(stamp int64, own time.Time) bool {
	ahead := stamp - c.own(own).UnixNano()
	if ahead > int64(mostAhead) {
		return false
	}
	for {
		known := c.offset.Load()
		if ahead <= known || c.offset.CompareAndSwap(known, ahead) {
			return true
		}
	}
}
