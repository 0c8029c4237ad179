package cluster

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// fanOut is to how many members a large message is sent; each passes it on to as many. With 100 members one in 50 does not get it, and
	// learns of it with the next push-pull.
	fanOut = 4

	maxLane      = 64 // messages that wait for a member
	maxLaneBytes = 16 << 20
	catchUpEvery = 2 * time.Second
)

// large sends messages that are too long for gossip by TCP, to each member in a lane of its own: a slow one delays nobody else.
type large struct {
	members *members
	tally   *tally
	deliver func(to member, msg []byte) error // nil until the cluster runs
	pull    func(ctx context.Context, to member) error

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	lanes   map[string]*lane
}

// lane is what waits for a member.
type lane struct {
	to     member
	queue  [][]byte
	bytes  int
	behind bool // it missed something, and is to be told the whole
}

func newLarge(m *members, t *tally) *large {
	l := &large{members: m, tally: t, lanes: map[string]*lane{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *large) stop() {
	l.mu.Lock()
	l.cancel()
	l.mu.Unlock()
	l.running.Wait()
}

// send queues a message for some members that answer, but not for its origin.
func (l *large) send(msg []byte, origin string) {
	to := slices.DeleteFunc(l.members.all(), func(m member) bool {
		return m.State != stateAlive || m.Name == origin || m.Name == l.members.self
	})
	rand.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	for _, m := range to[:min(len(to), fanOut)] {
		if l.lanes[m.Name] == nil {
			l.lanes[m.Name] = &lane{to: m}
			l.running.Add(1)
			go l.run(l.lanes[m.Name])
		}
		l.tally.drop(queueLarge, l.lanes[m.Name].push(msg))
	}
}

// push adds a message, and tells how many old ones it had to drop.
func (n *lane) push(msg []byte) (dropped int) {
	n.queue, n.bytes = append(n.queue, msg), n.bytes+len(msg)
	for len(n.queue) > maxLane || n.bytes > maxLaneBytes && len(n.queue) > 1 {
		n.bytes -= len(n.queue[0])
		n.queue = n.queue[1:]
		n.behind = true
		dropped++
	}
	return dropped
}

// run empties a lane, and ends with it.
func (l *large) run(n *lane) {
	defer l.running.Done()
	for {
		msg, behind, done := l.next(n)
		switch {
		case done:
			return
		case msg != nil:
			if err := l.deliver(n.to, msg); err != nil {
				l.tally.drop(queueLarge, l.fail(n))
			}
		case behind:
			if err := l.pull(l.ctx, n.to); err == nil {
				l.caughtUp(n)
				continue
			}
			select {
			case <-time.After(catchUpEvery):
			case <-l.ctx.Done():
			}
		}
	}
}

// next is what is to be done for a member: send a message, tell it the whole, or nothing any more. One that is lost is told the whole when
// it comes back.
func (l *large) next(n *lane) (msg []byte, behind, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, alive := l.members.alive.Load().sites[n.to.Name]
	if l.ctx.Err() != nil || !alive || len(n.queue) == 0 && !n.behind {
		delete(l.lanes, n.to.Name)
		l.tally.drop(queueLarge, len(n.queue))
		return nil, false, true
	}
	if len(n.queue) == 0 {
		return nil, true, false
	}
	msg, n.queue = n.queue[0], n.queue[1:]
	n.bytes -= len(msg)
	return msg, n.behind, false
}

// fail drops what waits, with what was just not delivered: the whole is told instead.
func (l *large) fail(n *lane) (dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dropped = len(n.queue) + 1
	n.queue, n.bytes, n.behind = nil, 0, true
	return dropped
}

func (l *large) caughtUp(n *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.behind = false
}

// waiting is how many messages wait.
func (l *large) waiting() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for lane := range maps.Values(l.lanes) {
		n += len(lane.queue)
	}
	return n
}
