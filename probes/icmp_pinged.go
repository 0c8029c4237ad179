package probes

import (
	"fmt"
	"net/netip"
	"time"
)

// pinged is a target.
type pinged struct {
	target  *Target
	ip      netip.Addr
	timeout time.Duration
	size    int
	life    uint32        // of this place
	next    time.Duration // when its next request is due
	failing bool          // its last probe failed
	flights []flight      // oldest first
}

// flight is a request without an end.
type flight struct {
	nonce uint64
	sent  time.Duration
	wall  int64 // the same in Unix nanoseconds, to be compared with the time of the kernel
	seq   uint16
	again bool
}

func (t *pinged) find(nonce uint64) int {
	for i := range t.flights {
		if t.flights[i].nonce == nonce {
			return i
		}
	}
	return -1
}

func (t *pinged) findSeq(seq uint16) int {
	for i := range t.flights {
		if t.flights[i].seq == seq {
			return i
		}
	}
	return -1
}

func noReply(timeout time.Duration) string { return fmt.Sprintf("no reply within %v", timeout) }
