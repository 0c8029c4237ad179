package mesh

import (
	"sync"
	"time"
)

// maxConnections bounds the open TCP connections that are followed through their intermediate entries.
const maxConnections = 1 << 16

// How long a connection is remembered after an entry that is no periodic one.
const (
	rememberConnected = 24 * time.Hour // no other entry has to come until its end
	rememberEnded     = time.Minute    // for entries that arrive late, by another stream
)

// traffic is what an entry says of a connection since the one before.
type traffic struct {
	opened, closed uint32
	received, sent uint64 // from and to downstream
}

// connections remembers what was counted of the TCP connections whose intermediate entries were seen, over all streams of a
// node. Nothing else needs to be remembered: the entry at the end tells all of a connection.
type connections struct {
	mu        sync.Mutex
	known     map[uint64]connection // by hash of node and stream id
	max       int
	now       time.Time // of the last merge
	untracked uint64    // intermediate entries of connections over max
}

type connection struct {
	received, sent uint64
	ended          bool
	until          time.Time // forgotten then
}

// end returns what was not counted yet of a connection that has ended; ok is false if its end has been counted.
func (c *connections) end(id uint64, total traffic) (t traffic, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[id]
	if !ok {
		return total, true
	}
	if known.ended {
		return traffic{}, false
	}
	t = known.since(total)
	t.closed = 1
	known.ended, known.until = true, c.now.Add(rememberEnded)
	c.known[id] = known
	return t, true
}

// progress returns what was not counted yet of an open connection; ok is false if that is nothing. Of a connection that is older
// than those who count, nothing before the first entry counts.
func (c *connections) progress(id uint64, total traffic, old bool, remember time.Duration) (t traffic, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, found := c.known[id]
	switch {
	case known.ended:
		return traffic{}, false
	case !found && len(c.known) >= c.max:
		c.untracked++
		return traffic{}, false
	case !found && old:
		known = connection{received: total.received, sent: total.sent}
	case !found:
		t.opened = 1
		fallthrough
	default:
		delta := known.since(total)
		t.received, t.sent = delta.received, delta.sent
		known.received += t.received
		known.sent += t.sent
	}
	known.until = c.now.Add(remember)
	c.known[id] = known
	return t, t != traffic{}
}

// since returns the bytes beyond those known. An entry that was overtaken by a later one has none.
func (c connection) since(total traffic) (t traffic) {
	if total.received > c.received {
		t.received = total.received - c.received
	}
	if total.sent > c.sent {
		t.sent = total.sent - c.sent
	}
	return t
}

func (c *connections) tick(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *connections) skipped() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.untracked
}

func (c *connections) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, known := range c.known {
		if known.until.Before(now) {
			delete(c.known, id)
		}
	}
}

// unmarshalTCP reads a TCPAccessLogEntry into the zero entry e. It returns false when b is malformed.
func (e *entry) unmarshalTCP(b []byte) bool {
	c, ok := cursor{b: b}, true
	var p connectionProperties
	e.tcp = true
	for c.next() {
		switch c.tag {
		case 1<<3 | length:
			ok = e.common(c.sub()) && ok
		case 2<<3 | length:
			ok = p.unmarshal(c.sub()) && ok
		}
	}
	if p.set {
		e.received, e.sent = p.received, p.sent
	}
	return ok && !c.bad
}

// connectionProperties are those of a TCPAccessLogEntry.
type connectionProperties struct {
	received, sent uint64
	set            bool
}

func (p *connectionProperties) unmarshal(b []byte) bool {
	c := cursor{b: b}
	p.set = true
	for c.next() {
		switch c.tag {
		case 1<<3 | varint:
			p.received = c.val
		case 2<<3 | varint:
			p.sent = c.val
		}
	}
	return !c.bad
}

// tcp counts one TCPAccessLogEntry: the end of a connection, or what passed through it since the last entry of it.
func (s *Stream) tcp(b []byte) {
	e := &s.entry
	*e = entry{}
	if !e.unmarshalTCP(b) {
		s.stats.Malformed++
		return
	}
	final := !e.intermediate && (e.logType == typeTCPConnectionEnd || e.logType == typeNotSet)
	switch e.logType {
	case typeUDPTunnelConnected, typeUDPPeriodic, typeUDPSessionEnd:
		s.stats.UDP++
		return
	case typeTCPUpstreamConnected, typeTCPPeriodic:
		e.flags = 0 // the outcome is told by the last entry
	default:
		if !final { // no upstream yet: the connection counts as opened when it has one
			s.stats.Intermediate++
			return
		}
	}
	k, ok := s.key(e)
	if !ok {
		s.stats.Malformed++
		return
	}
	t, ok := s.traffic(e, final)
	if final && ok {
		s.stats.Counted++
		s.countUnknown(&k, e)
		if o := s.aggregator.observer.Load(); o != nil {
			s.observe(o, b, k, true)
		}
		if s.ingress != nil {
			s.enter(b, &k, e)
		}
		if s.endpoints != nil {
			s.tell(&k, e, false)
		}
	} else {
		s.stats.Intermediate++
	}
	if ok {
		n := s.countsOf(&k, e.id)
		n.addTraffic(t)
		if final {
			n.passed.add(e, k.reporter)
			if k.failure() {
				s.fail(n, b)
			}
		}
	}
}

// traffic returns what an entry adds to what was counted of its connection; ok is false if it adds nothing.
func (s *Stream) traffic(e *entry, final bool) (t traffic, ok bool) {
	t = traffic{opened: 1, closed: 1, received: e.received, sent: e.sent}
	a := s.aggregator
	if len(e.streamID) == 0 { // nothing tells its entries from those of another connection
		return t, final
	}
	s.scratch = append(append(append(s.scratch[:0], s.node.ID...), 0), e.streamID...)
	id := s.secret.hash(s.scratch)
	if final {
		return a.connections.end(id, t)
	}
	remember := a.options.Idle
	if e.logType == typeTCPUpstreamConnected {
		remember = rememberConnected
	}
	return a.connections.progress(id, t, e.start.set && e.start.time().Before(a.started), remember)
}
