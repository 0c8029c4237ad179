package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	lookEvery    = time.Second
	tryEvery     = 10 * time.Second // one that does not answer
	aloneEvery   = 2 * time.Second  // the same, while nobody else does
	readyAtMost  = 5 * time.Second  // so long others wait for what the cluster knows
	readyAfter   = time.Second      // so long they wait for the rest, once one member told what it knows
	triesAtOnce  = 3                // lost members that are tried at once, unless they are configured: an overloaded machine takes many for lost
	resyncsAtOne = 3                // members that are asked for the whole of a state that has just been added
)

// joiner looks for members that are away, for ever, and exchanges the whole state with whom it finds.
type joiner struct {
	addresses []string // as configured
	self      netip.AddrPort
	members   *members
	pull      func(address string) error // a push-pull with whoever is at ip:port
	warn      func(address string, err error)

	kick    chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex
	targets map[string]*target // by address as configured
	next    map[netip.AddrPort]time.Time
	wanted  int           // how often the whole was to be had
	done    int           // how often it was; the rest is under way
	ready   chan struct{} // closed and replaced when done changes
}

// target is a configured address.
type target struct {
	resolved []netip.AddrPort
	looked   time.Time // when it was looked up last
	err      error     // of the last try; nil: it was joined
	met      bool      // a member was there once
}

func newJoiner(addresses []string, m *members, warn func(string, error)) *joiner {
	j := &joiner{
		addresses: addresses, members: m, warn: warn, kick: make(chan struct{}, 1),
		targets: map[string]*target{}, next: map[netip.AddrPort]time.Time{}, ready: make(chan struct{}), wanted: 1,
	}
	for _, address := range addresses {
		j.targets[address] = &target{}
	}
	return j
}

// resync has the whole exchanged anew: there is a state that the members were not asked for yet.
func (j *joiner) resync() {
	j.mu.Lock()
	j.wanted++
	j.mu.Unlock()
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// waitReady returns when all that was asked for until now was exchanged, when it takes too long, or with the context's error.
func (j *joiner) waitReady(ctx context.Context) error {
	limit := time.NewTimer(readyAtMost)
	defer limit.Stop()
	j.mu.Lock()
	wanted := j.wanted
	j.mu.Unlock()
	for {
		j.mu.Lock()
		done, ready := j.done, j.ready
		j.mu.Unlock()
		if done >= wanted {
			return nil
		}
		select {
		case <-ready:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run looks for members until the context ends.
func (j *joiner) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer j.running.Wait()
	for {
		j.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-j.kick:
		}
	}
}

// round asks whom it has to ask now. It waits for them only where somebody waits for the whole.
func (j *joiner) round(ctx context.Context) {
	j.mu.Lock()
	wanted, whole := j.wanted, j.wanted > j.done
	j.mu.Unlock()
	asked := j.resolve(ctx)
	var answers []<-chan error
	for _, at := range j.choose(asked, whole) {
		answers = append(answers, j.ask(at, asked[at]))
	}
	if whole {
		wait(ctx, answers)
		j.mu.Lock()
		j.done = wanted
		close(j.ready)
		j.ready = make(chan struct{})
		j.mu.Unlock()
	}
}

// wait waits for all answers, or for a moment longer than for the first good one.
func wait(ctx context.Context, answers []<-chan error) {
	ctx, cancel := context.WithTimeout(ctx, readyAtMost)
	defer cancel()
	good := make(chan struct{}, len(answers))
	var all sync.WaitGroup
	for _, answer := range answers {
		all.Go(func() {
			select {
			case err := <-answer:
				if err == nil {
					good <- struct{}{}
				}
			case <-ctx.Done():
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-good:
		select {
		case <-ended:
		case <-time.After(readyAfter):
			cancel()
		}
	}
	<-ended
}

// choose is whom to ask: those who are away and whose time has come, and where the whole is wanted some who are there.
func (j *joiner) choose(configured map[netip.AddrPort]string, whole bool) (ask []netip.AddrPort) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	alive, lost := map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}
	for _, m := range j.members.all() {
		switch m.State {
		case stateAlive:
			alive[m.Address] = true
		case stateLost:
			lost[m.Address] = true
		}
	}
	for at := range configured {
		lost[at] = true
		if j.targets[configured[at]].met = j.targets[configured[at]].met || alive[at]; alive[at] {
			j.targets[configured[at]].err = nil
		}
	}
	every := tryEvery
	if len(alive) <= 1 {
		every = aloneEvery
	}
	tries := 0
	for at := range lost {
		_, wanted := configured[at]
		if at == j.self || alive[at] || !whole && now.Before(j.next[at]) || !wanted && tries >= triesAtOnce {
			continue
		}
		if !wanted {
			tries++
		}
		ask, j.next[at] = append(ask, at), now.Add(every)
	}
	// Of many members some ask the one that came back, so that it is not asked by all.
	for _, at := range j.members.returned() {
		if alive[at] && rand.N(len(alive)) < resyncsAtOne {
			ask = append(ask, at)
			delete(alive, at)
		}
	}
	// They hold this one for a member that was lost, until they know that it is: then they must hear of this one again.
	again := j.members.contested()
	there := 0
	for at := range alive {
		if at != j.self && there < resyncsAtOne && (whole || again && now.After(j.next[at])) {
			ask = append(ask, at)
			there++
		}
	}
	return ask
}

// ask asks whoever is there for the whole. The channel gets the answer.
func (j *joiner) ask(at netip.AddrPort, configured string) <-chan error {
	answer := make(chan error, 1)
	j.running.Go(func() {
		err := j.pull(at.String())
		j.mu.Lock()
		defer j.mu.Unlock()
		if err == nil {
			// It knows of us now. Where it held us for dead, or we it, the next time tells.
			j.next[at] = time.Now().Add(aloneEvery)
		}
		if t := j.targets[configured]; t != nil {
			if err != nil && t.err == nil {
				j.warn(configured, err)
			}
			t.err = err
		}
		answer <- err
	})
	return answer
}

// away are the configured addresses at which nobody ever was, with why.
func (j *joiner) away() map[string]error {
	j.mu.Lock()
	defer j.mu.Unlock()
	away := map[string]error{}
	for address, t := range j.targets {
		switch {
		case t.met || slices.Contains(t.resolved, j.self):
		case t.err != nil:
			away[address] = t.err
		default:
			away[address] = fmt.Errorf("%s was not reached yet", address)
		}
	}
	return away
}
