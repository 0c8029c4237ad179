package xds

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// guard keeps a bug in one part from ending the gateway, and with it what has nothing to do with that part.
type guard struct {
	caught atomic.Int64 // panics
	told   atomic.Int64 // when the last one was told in full, in nanoseconds of the Unix era
}

// bug is a panic.
type bug struct {
	text string
	full bool // with the stack
}

func (b *bug) Error() string { return b.text }

// tellEvery is how often a panic is told in full: each stream may have the same one.
const tellEvery = time.Minute

// do makes a *bug of a panic of f.
func (g *guard) do(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = g.catch(p, time.Now())
		}
	}()
	return f()
}

func (g *guard) catch(p any, now time.Time) *bug {
	g.caught.Add(1)
	b := &bug{text: fmt.Sprintf("panic: %v", p)}
	if last := g.told.Load(); (last == 0 || now.UnixNano()-last >= int64(tellEvery)) && g.told.CompareAndSwap(last, now.UnixNano()) {
		b.text, b.full = b.text+"\n"+string(debug.Stack()), true
	}
	return b
}
