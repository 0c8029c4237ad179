package probes

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A kernel answers echo requests in fake time, after a millisecond, unless it is told otherwise.
type kernel struct {
	silent  bool
	failure error // of sending
	sent    []echoRequest
	copies  []echoRequest // of what was sent before
	replies []echoReply
	lost    uint32
	stall   time.Duration // once, before anything is received
}

func (k *kernel) send(requests []echoRequest, failed func(echoRequest, error)) {
	for _, r := range requests {
		switch {
		case k.failure != nil:
			failed(r, k.failure)
			continue
		case !k.silent:
			k.replies = append(k.replies, answer(r))
		}
		if slices.Contains(k.sent, r) {
			k.copies = append(k.copies, r)
		} else {
			k.sent = append(k.sent, r)
		}
	}
}

func answer(r echoRequest) echoReply {
	return echoReply{echo: r.echo, from: r.to, at: time.Now().Add(time.Millisecond).UnixNano(), hopLimit: 60}
}

func (k *kernel) receive(got func(echoReply)) uint32 {
	time.Sleep(k.stall)
	k.stall = 0
	for _, r := range k.replies {
		got(r)
	}
	k.replies = nil
	return k.lost
}

func (*kernel) Close() error { return nil }

// pinging gives f pings over a kernel, in fake time.
func pinging(t *testing.T, f func(k *kernel, p *fakePings, target *Target, heard *[]outcome)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		module := defaultModule("icmp")
		k, heard := &kernel{}, []outcome{}
		p := &fakePings{newPings(k, map[string]*Module{"icmp": &module}, func(outcomes []outcome) {
			for _, o := range outcomes {
				o.Phases, o.Values = slices.Clone(o.Phases), slices.Clone(o.Values)
				heard = append(heard, o)
			}
		})}
		target := &Target{Module: "icmp", Target: "192.0.2.1", Interval: time.Second}
		p.set([]*Target{target})
		f(k, p, target, &heard)
	})
}

type fakePings struct{ *pings }

// pass lets them run for a time.
func (p *fakePings) pass(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	p.run(ctx)
}

// passSent lets them run until the next request is sent.
func (p *fakePings) passSent(k *kernel) echoRequest {
	n := len(k.sent)
	for len(k.sent) == n {
		p.pass(pingTick)
	}
	return k.sent[n]
}
