package probes

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// pings sends to all targets of one address family and hears from them, in one goroutine, which looks every tick. The kernel notes
// when a reply came, so nothing is lost by looking that seldom, and nobody is woken for each of 10,000 replies a second.
type pings struct {
	socket  echoSocket
	modules map[string]*Module
	report  func([]outcome)
	base    time.Time // all times below are since then, by the monotonic clock
	tick    time.Duration
	wheel   wheel

	targets  []pinged // an echo's index is the place in it
	places   map[*Target]uint32
	free     []uint32
	recent   [1 << 16]uint32 // the index of the target that a sequence number was used for last
	seq      uint16
	inFlight int

	requests []echoRequest // to be sent in this turn
	copies   []echoRequest // likewise, of requests without a reply so far
	again    []bool        // of each: see outcome
	outcomes []outcome     // of this turn
	measured []Phase       // what its outcomes point to, and whoever they are reported to may keep
	values   []Value

	deaf                time.Duration // when it was last found that the kernel lost replies
	late, foreign, lost atomic.Int64  // replies that told nothing: see pinger

	mu     sync.Mutex
	wanted []*Target // of the last set
	wake   chan struct{}
}

func newPings(socket echoSocket, modules map[string]*Module, report func([]outcome)) *pings {
	return &pings{
		socket: socket, modules: modules, report: report, base: time.Now(), tick: pingTick, deaf: -1,
		places: map[*Target]uint32{}, wake: make(chan struct{}, 1),
	}
}

// set implements driver.
func (p *pings) set(targets []*Target) {
	p.mu.Lock()
	p.wanted = targets
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run implements driver.
func (p *pings) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			p.mu.Lock()
			wanted := p.wanted
			p.mu.Unlock()
			p.change(wanted)
		case <-timer.C:
			p.turn()
		}
		timer.Reset(p.pause())
	}
}

// change starts and ends targets.
func (p *pings) change(wanted []*Target) {
	stays := make(map[*Target]bool, len(wanted))
	for _, t := range wanted {
		stays[t] = true
	}
	for t, index := range p.places {
		if !stays[t] {
			p.remove(t, index)
		}
	}
	now := time.Since(p.base)
	for _, t := range wanted {
		if _, ok := p.places[t]; !ok {
			p.add(t, now)
		}
	}
}

// add starts a target at a moment of its interval that chance chooses, so that they do not all come at once.
func (p *pings) add(t *Target, now time.Duration) {
	var index uint32
	if n := len(p.free); n > 0 {
		index, p.free = p.free[n-1], p.free[:n-1]
	} else {
		index = uint32(len(p.targets))
		p.targets = append(p.targets, pinged{})
	}
	module := p.modules[t.Module]
	place := &p.targets[index]
	*place = pinged{
		target: t, ip: pingAddress(t), timeout: module.Timeout, size: module.ICMP.PayloadSize, life: place.life + 1,
		next: now + rand.N(t.Interval), flights: place.flights[:0],
	}
	p.places[t] = index
	p.at(place.next, pingEvent{index: index, life: place.life})
}

func (p *pings) remove(t *Target, index uint32) {
	place := &p.targets[index]
	p.inFlight -= len(place.flights)
	place.life++
	place.target, place.flights = nil, place.flights[:0]
	delete(p.places, t)
	p.free = append(p.free, index)
}

// at lets an event be due at the first tick that is not before its time.
func (p *pings) at(when time.Duration, e pingEvent) {
	e.tick = int64((when + p.tick - 1) / p.tick)
	p.wheel.add(e)
}

// pause is how long nothing needs to be done.
func (p *pings) pause() time.Duration {
	now := time.Since(p.base)
	tick, ok := p.wheel.next()
	if soon := int64(now/p.tick) + 1; p.inFlight > 0 && (!ok || tick > soon) {
		tick, ok = soon, true
	}
	if !ok {
		return time.Hour
	}
	return max(time.Duration(tick)*p.tick-now, 0)
}

// turn hears what came, before it gives up what is due and sends what is due.
func (p *pings) turn() {
	p.outcomes, p.measured, p.values = p.outcomes[:0], nil, nil
	now := time.Since(p.base)
	p.receive()
	p.wheel.take(int64(now/p.tick), func(e pingEvent) {
		if t := &p.targets[e.index]; t.life != e.life {
			return
		} else if e.nonce == 0 {
			p.due(t, e.index, now)
		} else if i := t.find(e.nonce); i >= 0 && e.copies > 0 {
			p.repeat(t, t.flights[i], e, now)
		} else if i >= 0 {
			p.expire(t, e.index, i)
		}
	})
	p.send()
	if len(p.outcomes) > 0 {
		p.report(p.outcomes)
	}
}

// receive hears what came. Of what the kernel lost nobody knows whom it came from: whoever has not replied by then may have.
func (p *pings) receive() {
	if lost := int64(p.socket.receive(p.got)); lost != p.lost.Swap(lost) {
		p.deaf = time.Since(p.base)
	}
}

// due lets a request be sent, and the next one be due. One that is overdue because this process was held up is left out: thousands at
// once would tell of that only.
func (p *pings) due(t *pinged, index uint32, now time.Duration) {
	overdue := now - t.next
	t.next += t.target.Interval * (1 + overdue/t.target.Interval)
	p.at(t.next, pingEvent{index: index, life: t.life})
	if !tardy(overdue, t.timeout) {
		p.want(t, index, false)
	}
}

func (p *pings) want(t *pinged, index uint32, again bool) {
	p.seq++
	p.recent[p.seq] = index
	p.requests = append(p.requests, echoRequest{echo: echo{seq: p.seq, index: index, nonce: rand.Uint64() | 1}, to: t.ip, size: t.size})
	p.again = append(p.again, again)
}

// unsent takes a request back: it says nothing of its target.
func (p *pings) unsent(r echoRequest, err error) {
	t := &p.targets[r.index]
	if i := t.find(r.nonce); i >= 0 {
		p.end(t, i, outcome{Result: Result{Err: err}})
	}
}

// got takes a reply, or the word of a router that there will be none.
func (p *pings) got(r echoReply) {
	if r.reason != "" && !r.quoted {
		r.index = p.recent[r.seq]
	}
	if r.index >= uint32(len(p.targets)) || !r.from.IsValid() {
		p.foreign.Add(1)
		return
	}
	t := &p.targets[r.index]
	i := t.find(r.nonce)
	if r.reason != "" && !r.quoted {
		i = t.findSeq(r.seq)
	}
	switch {
	case r.from != t.ip:
		p.foreign.Add(1)
	case i < 0: // given up before, doubled, or never sent
		p.late.Add(1)
	case r.reason != "":
		p.fail(t, r.index, i, r.reason, false)
	default:
		p.succeed(t, r, i)
	}
}

func (p *pings) succeed(t *pinged, r echoReply, i int) {
	f := t.flights[i]
	took := time.Since(p.base) - f.sent
	if kernel := time.Duration(r.at - f.wall); r.at != 0 && kernel >= 0 && kernel < took { // else the wall clock was set meanwhile
		took = kernel
	}
	if took > t.timeout {
		p.expire(t, r.index, i)
		return
	}
	t.failing = false
	protocol := 4.0
	if r.from.Is6() {
		protocol = 6
	}
	first, value := len(p.measured), len(p.values)
	p.measured = append(p.measured, Phase{Name: "rtt", Took: took})
	p.values = append(p.values, Value{Name: "probe_ip_protocol", Number: protocol}, Value{Name: "probe_icmp_reply_hop_limit", Number: float64(r.hopLimit)})
	p.end(t, i, outcome{Result: Result{OK: true, Took: took, Phases: p.measured[first:], Values: p.values[value:]}})
}

// expire ends a probe whose time is over. It means nothing where this process was held up, or where the kernel lost what may have been the
// reply.
func (p *pings) expire(t *pinged, index uint32, i int) {
	f := t.flights[i]
	p.fail(t, index, i, noReply(t.timeout), tardy(time.Since(p.base)-f.sent, t.timeout) || f.sent <= p.deaf)
}

// fail ends a probe that failed. After the first in a row another follows at once, unless the next is about to come or under way, so that
// a single loss is over soon.
func (p *pings) fail(t *pinged, index uint32, i int, reason string, late bool) {
	now := time.Since(p.base)
	p.end(t, i, outcome{late: late, Result: Result{Reason: reason, Took: now - t.flights[i].sent}})
	if late {
		return
	}
	first := !t.failing
	t.failing = true
	if first && len(t.flights) == 0 && t.next-now > t.target.Interval/4 {
		p.want(t, index, true)
	}
}

// end tells of a probe.
func (p *pings) end(t *pinged, i int, o outcome) {
	f := t.flights[i]
	t.flights = append(t.flights[:i], t.flights[i+1:]...)
	p.inFlight--
	o.target, o.again, o.at = t.target, f.again, p.base.Add(f.sent)
	p.outcomes = append(p.outcomes, o)
}
