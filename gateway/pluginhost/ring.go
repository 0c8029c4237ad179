package pluginhost

import (
	"slices"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

const (
	ringLines = 1000
	ringBytes = 4 << 20 // of messages and fields: long lines leave room for fewer
)

// line is one line that a plugin printed, as the gateway's log has it.
type line struct {
	Time    time.Time      `json:"time"`
	Level   zapcore.Level  `json:"level"`
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"`

	size int // of what was printed, in bytes
}

// ring keeps the last lines of one plugin, over its restarts, and hands on new ones. The zero value is ready to use.
type ring struct {
	mu          sync.Mutex
	lines       []line // oldest first
	bytes       int
	subscribers map[chan line]struct{}
}

// add keeps a line. It never waits: a subscriber that is ringLines behind loses its subscription.
func (r *ring) add(l line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, l)
	r.bytes += l.size
	for len(r.lines) > ringLines || (r.bytes > ringBytes && len(r.lines) > 1) {
		r.bytes -= r.lines[0].size
		r.lines[0] = line{} // its text is garbage from here on
		r.lines = r.lines[1:]
	}
	for live := range r.subscribers {
		select {
		case live <- l:
		default:
			delete(r.subscribers, live)
			close(live)
		}
	}
}

// tail is the last n lines at most, oldest first.
func (r *ring) tail(n int) []line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last(n)
}

func (r *ring) last(n int) []line {
	return slices.Clone(r.lines[len(r.lines)-min(max(n, 0), len(r.lines)):])
}

// subscribe is tail, and a channel of every line after those. It is closed by end, which may be called twice, or
// when its reader has fallen ringLines behind.
func (r *ring) subscribe(n int) (last []line, live <-chan line, end func()) {
	channel := make(chan line, ringLines)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.subscribers == nil {
		r.subscribers = map[chan line]struct{}{}
	}
	r.subscribers[channel] = struct{}{}
	return r.last(n), channel, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, ok := r.subscribers[channel]; ok {
			delete(r.subscribers, channel)
			close(channel)
		}
	}
}
