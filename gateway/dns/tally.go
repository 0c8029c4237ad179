package dns

import (
	"sync/atomic"

	"github.com/miekg/dns"
)

// Why a packet got no answer.
const (
	dropIgnored   = iota // it is no query
	dropOversized        // longer than any query
	dropReceive          // the kernel did not hand it over
	dropSend             // the kernel did not take the answer
	dropAccept           // a TCP connection that could not be taken
	drops
)

// What became of answers over the limit.
const (
	limitDropped = iota
	limitTruncated
	limits
)

// Why a TCP connection ended.
const (
	endClient    = iota // the client closed it
	endIdle             // no whole query for tcpIdle
	endSlow             // the client took no answers
	endMalformed        // a length that no query has
	endRefused          // too many, of this address or of all
	endEvicted          // it was the one that was silent longest when there were too many
	ends
)

// Query types that are told apart.
const (
	typeA = iota
	typeAAAA
	typeNS
	typeSOA
	typeANY
	typeOther
	types
)

const rcodes = 17 // BADVERS, the only one that is answered beyond the header's four bits, is the last

// What they are called in metrics.
func dropNames() []string  { return []string{"ignored", "oversized", "receive", "send", "accept"} }
func limitNames() []string { return []string{"dropped", "truncated"} }
func endNames() []string {
	return []string{"client", "idle", "slow", "malformed", "refused", "evicted"}
}
func typeNames() []string { return []string{"A", "AAAA", "NS", "SOA", "ANY", "other"} }

// tally counts what one UDP socket, or TCP, has answered. It is summed up when it is asked for.
type tally struct {
	queries  [types][rcodes]atomic.Uint64
	dropped  [drops]atomic.Uint64
	limited  [limits]atomic.Uint64
	ended    [ends]atomic.Uint64
	panicked atomic.Uint64
}

func (t *tally) drop(why int) { t.dropped[why].Add(1) }

// count counts an answer by the type that it was asked for, and its rcode.
func (t *tally) count(answer []byte) {
	asked := typeOther
	if end := questionEnd(answer); end != 0 && answer[end-4] == 0 {
		switch uint16(answer[end-3]) {
		case dns.TypeA:
			asked = typeA
		case dns.TypeAAAA:
			asked = typeAAAA
		case dns.TypeNS:
			asked = typeNS
		case dns.TypeSOA:
			asked = typeSOA
		case dns.TypeANY:
			asked = typeANY
		}
	}
	t.queries[asked][rcodeOf(answer)].Add(1)
}

// rcodeOf is the rcode of an answer, with the OPT record's bits when that is what it ends with.
func rcodeOf(answer []byte) int {
	rcode := int(answer[3] & 0xf)
	if opt := len(answer) - 11; opt >= headerLength && answer[opt+5] == 1 && answer[opt] == 0 && answer[opt+1] == 0 && answer[opt+2] == byte(dns.TypeOPT) {
		rcode |= 1 << 4
	}
	return min(rcode, rcodes-1)
}

// total sums up one counter of tallies.
func total(tallies []*tally, counter func(*tally) *atomic.Uint64) (n int64) {
	for _, t := range tallies {
		n += int64(counter(t).Load())
	}
	return n
}
