package envoy

import (
	"sync"

	"google.golang.org/grpc/mem"
)

// buffers is where frames and messages are put while they are read. Unlike gRPC's own pool it does not clear a buffer that is
// about to be overwritten. The zero value is ready.
type buffers struct {
	classes [5]sync.Pool
}

// bufferClass tells which class a size falls into, and that class's capacity; capacity is 0 for what is not pooled. The classes are
// for small frames, HTTP/2's usual largest frame, Envoy's usual message (16 KiB and one entry more) and a stream's first message,
// to which Envoy adds some 62 kB.
func bufferClass(size int) (class, capacity int) {
	switch {
	case size <= 1<<10:
		return 0, 1 << 10
	case size <= 4<<10:
		return 1, 4 << 10
	case size <= 16<<10:
		return 2, 16 << 10
	case size <= 32<<10:
		return 3, 32 << 10
	case size <= 128<<10:
		return 4, 128 << 10
	}
	return 0, 0
}

// Get implements mem.BufferPool.
func (p *buffers) Get(size int) *[]byte {
	class, capacity := bufferClass(size)
	if capacity == 0 {
		b := make([]byte, size)
		return &b
	}
	if b, ok := p.classes[class].Get().(*[]byte); ok {
		*b = (*b)[:size]
		return b
	}
	b := make([]byte, size, capacity)
	return &b
}

// Put implements mem.BufferPool.
func (p *buffers) Put(b *[]byte) {
	if class, capacity := bufferClass(cap(*b)); capacity > 0 && capacity == cap(*b) {
		p.classes[class].Put(b)
	}
}

var _ mem.BufferPool = (*buffers)(nil)
