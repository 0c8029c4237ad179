package dns

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	limitStripes = 64
	limitSlots   = 1024 // of a stripe: 1 MiB for all
	limitWays    = 4    // slots that a key may be in

	maxGain = 3 // so many times as long as its query an answer may be, and still be of no use to who forges senders (as QUIC, RFC 9000, has it)
)

// limiter counts answers by the network they go to and their kind, and tells which are too many. Its memory does not grow; when
// there are more networks than it has room for, the quietest are forgotten. It is safe for concurrent use.
type limiter struct {
	answers, others time.Duration // between two, in the long run; 0: any number
	slip            uint64
	start           time.Time
	seed            maphash.Seed
	refused         atomic.Uint64
	stripes         [limitStripes]limitStripe
}

type limitStripe struct {
	mu    sync.Mutex
	slots [limitSlots]limitSlot
}

// limitSlot is one network and kind: when all that it was given will be used up, in time since the limiter's start.
type limitSlot struct {
	key  uint64
	full time.Duration
}

func newLimiter(c RateLimit) *limiter {
	l := &limiter{slip: uint64(c.Slip), start: time.Now(), seed: maphash.MakeSeed()}
	if c.AnswersPerSecond > 0 {
		l.answers = time.Second / time.Duration(c.AnswersPerSecond)
	}
	if c.OthersPerSecond > 0 {
		l.others = time.Second / time.Duration(c.OthersPerSecond)
	}
	return l
}

// limits tells whether answers like this one are limited at all.
func (l *limiter) limits(answer []byte, asked int) bool { return l.interval(useful(answer, asked)) > 0 }

// useful tells that an answer has what was asked for, or that there is nothing, and of no use to who forges senders.
func useful(answer []byte, asked int) bool {
	return answer[3]&0xf == dns.RcodeSuccess && len(answer) <= maxGain*asked
}

func (l *limiter) interval(useful bool) time.Duration {
	if useful {
		return l.answers
	}
	return l.others
}

// allow counts one answer that is limited and tells whether it may be sent: a second's worth at once, and then one at each interval.
func (l *limiter) allow(answer []byte, asked int, to netip.Addr) bool {
	useful := useful(answer, asked)
	interval, key := l.interval(useful), limitKey(to, answer[3]&0xf, useful)
	hash := maphash.Comparable(l.seed, key)
	stripe := &l.stripes[hash%limitStripes]
	now := time.Since(l.start)

	stripe.mu.Lock()
	defer stripe.mu.Unlock()
	slot := stripe.find(int(hash/limitStripes%(limitSlots/limitWays))*limitWays, key)
	full := max(slot.full, now) + interval
	if full-now > time.Second {
		return false
	}
	slot.full = full
	return true
}

// find is the slot of a key, taken from the quietest if need be.
func (s *limitStripe) find(first int, key uint64) *limitSlot {
	quietest := &s.slots[first]
	for i := first; i < first+limitWays; i++ {
		slot := &s.slots[i]
		if slot.key == key {
			return slot
		}
		if slot.full < quietest.full {
			quietest = slot
		}
	}
	*quietest = limitSlot{key: key}
	return quietest
}

// slips tells whether the client of a refused answer is told to come by TCP.
func (l *limiter) slips() bool { return l.slip > 0 && l.refused.Add(1)%l.slip == 0 }

// limitKey is the network (IPv4 /24, IPv6 /56) and the kind of an answer. No IPv6 address in use begins with a zero byte, as IPv4 does here.
func limitKey(to netip.Addr, rcode byte, useful bool) uint64 {
	kind := uint64(rcode) | 0x80
	if useful {
		kind |= 0x40
	}
	if to = to.Unmap(); to.Is4() {
		address := to.As4()
		return uint64(binary.BigEndian.Uint32(address[:])&^0xff) | kind
	}
	address := to.As16()
	return binary.BigEndian.Uint64(address[:])&^0xff | kind
}
