package xds

import (
	"cmp"
	"sync"
	"time"

	"google.golang.org/grpc/mem"
)

// push is what changed between two states of the cache. Streams share it, and what they encode of it.
type push struct {
	at      time.Time         // of the oldest change
	batches map[string]*batch // by type URL
}

// split tells whether what is gone has to wait until all types' additions are sent.
func (p *push) split() bool { return p != nil && len(p.batches) > 1 }

// batch is a push's part of one type.
type batch struct {
	typeURL string
	version string
	changed []*Resource // by name
	removed []*Resource // by name: what they were

	mu      sync.Mutex
	encoded map[string]phases // by what they are made of
}

// phases are the responses to send before and after the other types', without their nonces; nil: none.
type phases [2]mem.BufferSlice

// variants is how many different responses are kept of one batch: streams that subscribe to the same share one.
const variants = 1024

func byName(a, b *Resource) int { return cmp.Compare(a.Name, b.Name) }

// pick tells which of the batch a subscription covers, as a set of bits; none: nothing.
func (b *batch) pick(s *subscription, bits []byte) (set []byte, any bool) {
	set = append(bits, make([]byte, (len(b.changed)+len(b.removed)+7)/8)...)
	for i := range len(b.changed) + len(b.removed) {
		if s.covers(b.at(i).Name) {
			set[len(bits)+i/8] |= 1 << (i % 8)
			any = true
		}
	}
	return set, any
}

// at is the changed and then the removed resources.
func (b *batch) at(i int) *Resource {
	if i < len(b.changed) {
		return b.changed[i]
	}
	return b.removed[i-len(b.changed)]
}

// picked undoes pick.
func (b *batch) picked(set []byte) (changed, removed []*Resource) {
	for i := range len(b.changed) + len(b.removed) {
		if set[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		if i < len(b.changed) {
			changed = append(changed, b.at(i))
		} else {
			removed = append(removed, b.at(i))
		}
	}
	return changed, removed
}

// share returns what encode makes, which is called once for all streams with the same key.
func (b *batch) share(key []byte, encode func() phases) phases {
	b.mu.Lock()
	defer b.mu.Unlock()
	if encoded, ok := b.encoded[string(key)]; ok {
		return encoded
	}
	encoded := encode()
	if b.encoded == nil {
		b.encoded = map[string]phases{}
	}
	if len(b.encoded) < variants {
		b.encoded[string(key)] = encoded
	}
	return encoded
}
