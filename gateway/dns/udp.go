package dns

import (
	"encoding/hex"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/zap"
)

// worker answers what comes in at one UDP socket, whose own goroutine alone uses it, or by TCP.
type worker struct {
	*tally
	table   *atomic.Pointer[table]
	limiter *limiter
	panics  *panics
}

// answer makes the answer to a packet, in dst where it is a common one; nil: say nothing. A packet that panics costs itself alone.
func (w *worker) answer(t *table, dst, query []byte) (answer []byte) {
	defer func() {
		if recovered := recover(); recovered != nil {
			w.panics.tell(recovered, query)
			w.panicked.Add(1)
			answer = nil
		}
	}()
	answer, ok := t.fast(dst, query)
	if !ok {
		answer = t.slow(query, true)
	}
	if answer == nil {
		w.drop(dropIgnored)
		return nil
	}
	w.count(answer)
	return answer
}

// limit is what becomes of an answer that is limited: itself, a shorter one that asks the client to come back by TCP, or nil.
func (w *worker) limit(answer []byte, to netip.Addr, asked int) []byte {
	if w.limiter.allow(answer, asked, to) {
		return answer
	}
	if w.limiter.slips() && truncate(&answer) {
		w.limited[limitTruncated].Add(1)
		return answer
	}
	w.limited[limitDropped].Add(1)
	return nil
}

// truncate leaves the header and the question, and the flag that tells to ask by TCP. Errors have nothing to come back for.
func truncate(answer *[]byte) bool {
	a := *answer
	end := questionEnd(a)
	if rcode := int(a[3] & 0xf); end == 0 || rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError {
		return false
	}
	a[2] |= bitTC
	a[3] &^= 0xf
	clear(a[6:12]) // no records
	*answer = a[:end]
	return true
}

// questionEnd is where the one question of a message ends; 0: it has none that can be read.
func questionEnd(message []byte) int {
	if len(message) < headerLength || message[4] != 0 || message[5] != 1 {
		return 0
	}
	for i := headerLength; i < len(message); i += 1 + int(message[i]) {
		switch {
		case message[i] > 63:
			return 0
		case message[i] == 0 && i+5 <= len(message):
			return i + 5
		case message[i] == 0:
			return 0
		}
	}
	return 0
}

// panics tells of packets that panicked, one a minute.
type panics struct {
	log  *zap.Logger
	last atomic.Int64
}

func (p *panics) tell(recovered any, query []byte) {
	now, last := time.Now().UnixNano(), p.last.Load()
	if now-last < int64(time.Minute) || !p.last.CompareAndSwap(last, now) {
		return
	}
	p.log.Error("a DNS query panicked: please report it with these bytes",
		zap.Any("panic", recovered), zap.String("query", hex.EncodeToString(query)), zap.Stack("stack"))
}
