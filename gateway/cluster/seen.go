package cluster

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// seenFor is how long a message is remembered at least. Gossip sends each for some seconds.
	seenFor = time.Minute
	maxSeen = 1 << 15
)

// seen remembers the messages of the last minute or two by what is in them, whoever sent them: so each is merged and passed on once, also
// when a state broadcasts again what it was given. Its zero value is ready.
type seen struct {
	mu        sync.Mutex
	seed      maphash.Seed
	now, last map[uint64]struct{}
	since     time.Time // when the present generation began
}

// add tells whether the message was not there yet.
func (s *seen) add(p part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.now == nil || now.Sub(s.since) >= seenFor || len(s.now) >= maxSeen {
		if s.now == nil {
			s.seed = maphash.MakeSeed()
		}
		s.last, s.now, s.since = s.now, map[uint64]struct{}{}, now
	}
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(p.key)
	_ = h.WriteByte(0)
	_, _ = h.Write(p.data)
	sum := h.Sum64()
	if _, there := s.now[sum]; there {
		return false
	}
	if _, there := s.last[sum]; there {
		return false
	}
	s.now[sum] = struct{}{}
	return true
}
