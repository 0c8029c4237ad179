package probes

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPingsGoOnAtTheirInterval(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		p.pass(10 * time.Second)
		require.InDelta(t, 10, len(*heard), 1)
		first := (*heard)[0]
		require.True(t, first.OK)
		require.Same(t, target, first.target)
		require.False(t, first.again || first.late)
		require.Equal(t, []Phase{{Name: "rtt", Took: time.Millisecond}}, first.Phases)
		require.Contains(t, first.Values, Value{Name: "probe_icmp_reply_hop_limit", Number: 60})
		require.Contains(t, first.Values, Value{Name: "probe_ip_protocol", Number: 4})
		for i, o := range *heard {
			require.InDelta(t, time.Duration(i)*time.Second, o.at.Sub(first.at), float64(2*pingTick))
		}
	})
}

// The first failure in a row is followed by another probe at once, and by no more of them.
func TestPingsLookAgainAfterTheFirstFailure(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		p.pass(2 * time.Second)
		k.silent, k.replies, *heard = true, nil, nil
		p.pass(5500*time.Millisecond + 2*pingTick)
		require.InDelta(t, 6, len(*heard), 1)
		again := 0
		for i, o := range *heard {
			require.False(t, o.OK)
			require.Equal(t, "no reply within 500ms", o.Reason)
			require.InDelta(t, 500*time.Millisecond, o.Took, float64(2*pingTick))
			if o.again {
				again++
				require.Equal(t, 1, i)
				require.InDelta(t, 500*time.Millisecond, o.at.Sub((*heard)[0].at), float64(2*pingTick))
			}
		}
		require.Equal(t, 1, again)

		k.silent, *heard = false, nil
		p.pass(3 * time.Second)
		require.True(t, (*heard)[len(*heard)-1].OK)
		require.False(t, (*heard)[len(*heard)-1].again)
	})
}

// A request without a reply is sent twice more, and any of them may be replied to.
func TestPingsSendAgainWhatIsLost(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, _ *Target, heard *[]outcome) {
		k.silent = true
		lost := p.passSent(k)
		require.Empty(t, k.copies)
		p.pass(125*time.Millisecond + pingTick)
		require.Equal(t, []echoRequest{lost}, k.copies)
		k.silent = false
		p.pass(125*time.Millisecond + 2*pingTick)
		require.Equal(t, []echoRequest{lost, lost}, k.copies)
		require.Len(t, *heard, 1)
		require.True(t, (*heard)[0].OK)
		require.InDelta(t, 250*time.Millisecond, (*heard)[0].Took, float64(3*pingTick))

		p.pass(10 * time.Second)
		require.Len(t, k.copies, 2, "what is replied to is not sent again")
	})
}

func TestPingsOverlapWhereTheTimeoutIsLonger(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		module := defaultModule("icmp")
		module.Timeout = 3 * time.Second
		p.modules["slow"] = &module
		p.set([]*Target{{Module: "slow", Target: "192.0.2.9", Interval: 200 * time.Millisecond}})
		k.silent = true
		p.pass(10 * time.Second)
		require.InDelta(t, 7*5, len(*heard), 3)
		require.LessOrEqual(t, p.inFlight, 16+1)
	})
}

// What is not the reply to a request under way is no evidence.
func TestPingsTakeNoStrangersWord(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		k.silent = true
		r := p.passSent(k)
		answers := func(change func(*echoReply)) {
			reply := answer(r)
			change(&reply)
			k.replies = append(k.replies, reply)
		}
		answers(func(e *echoReply) { e.from = netip.MustParseAddr("192.0.2.2") })
		answers(func(e *echoReply) { e.from = netip.Addr{} })
		answers(func(e *echoReply) { e.index = 7 })
		answers(func(e *echoReply) { e.nonce++ })
		answers(func(e *echoReply) { e.reason, e.nonce, e.seq = "host unreachable", 0, e.seq+1 })
		p.pass(0)
		p.pass(2 * pingTick)
		require.Empty(t, *heard)
		require.EqualValues(t, 5, p.foreign.Load()+p.late.Load())

		answers(func(*echoReply) {})
		answers(func(*echoReply) {}) // doubled
		p.pass(2 * pingTick)
		require.Len(t, *heard, 1)
		require.True(t, (*heard)[0].OK)
		require.EqualValues(t, 6, p.foreign.Load()+p.late.Load())
	})
}

// A router's word ends a probe at once, by as much of the request as it quotes.
func TestPingsBelieveRouters(t *testing.T) {
	for _, quoted := range []bool{true, false} {
		pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
			k.silent = true
			r := answer(p.passSent(k))
			r.reason, r.quoted = "host unreachable", quoted
			if !quoted {
				r.index, r.nonce = 0, 0
			}
			k.replies = append(k.replies, r)
			p.pass(2 * pingTick)
			require.Len(t, *heard, 1)
			require.Equal(t, "host unreachable", (*heard)[0].Reason)
			require.Less(t, (*heard)[0].Took, 100*time.Millisecond)
		})
	}
}

// What cannot be sent from here says nothing of the target.
func TestPingsThatCannotBeSent(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		k.failure = errors.New("no buffer space")
		p.pass(3 * time.Second)
		require.InDelta(t, 3, len(*heard), 1)
		for _, o := range *heard {
			require.ErrorIs(t, o.Err, k.failure)
			require.Empty(t, o.Reason)
		}
		require.Zero(t, p.inFlight)
	})
}

// A gateway that was stopped knows nothing of what was under way, but for the replies that the kernel kept.
func TestPingsAfterAPause(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		p.pass(time.Second)
		k.silent = true
		p.passSent(k)
		n := len(k.sent)
		*heard = nil
		k.stall = 10 * time.Second
		p.pass(10*time.Second + pingTick)
		require.Len(t, *heard, 1)
		require.True(t, (*heard)[0].late)
		require.Len(t, k.sent, n, "what was missed is not made up for")

		k.silent, *heard = false, nil
		p.passSent(k)
		k.stall = 10 * time.Second
		p.pass(10*time.Second + pingTick)
		require.Len(t, *heard, 1)
		require.True(t, (*heard)[0].OK)
		require.Equal(t, time.Millisecond, (*heard)[0].Took)
	})
}

// Where the kernel lost replies, nobody knows whose they were.
func TestPingsWhenRepliesAreLost(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		k.silent = true
		p.passSent(k)
		k.lost = 7
		p.pass(time.Second)
		require.True(t, (*heard)[0].late)
		require.EqualValues(t, 7, p.lost.Load())
		p.pass(time.Second)
		require.False(t, (*heard)[1].late)
	})
}

// The wall clock may be set at any time: then the time of the kernel means nothing.
func TestPingsWhenTheClockIsSet(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		k.silent = true
		for _, jump := range []time.Duration{-time.Hour, time.Hour} {
			r := answer(p.passSent(k))
			*heard = nil
			r.at += int64(jump)
			k.replies = append(k.replies, r)
			p.pass(2 * pingTick)
			require.Len(t, *heard, 1)
			require.True(t, (*heard)[0].OK, (*heard)[0].Reason)
			require.LessOrEqual(t, (*heard)[0].Took, 2*pingTick)
			p.pass(time.Second)
		}
	})
}

func TestPingsChange(t *testing.T) {
	pinging(t, func(k *kernel, p *fakePings, target *Target, heard *[]outcome) {
		p.pass(2 * time.Second)
		other := &Target{Module: "icmp", Target: "192.0.2.2", Interval: time.Second}
		p.set([]*Target{target, other})
		*heard = nil
		p.pass(4 * time.Second)
		require.InDelta(t, 8, len(*heard), 2)

		k.silent = true
		p.pass(time.Second)
		p.set([]*Target{other}) // while requests are under way
		p.pass(2 * pingTick)
		k.silent, *heard = false, nil
		p.pass(4 * time.Second)
		for _, o := range *heard {
			require.Same(t, other, o.target)
		}

		third := &Target{Module: "icmp", Target: "192.0.2.3", Interval: 200 * time.Millisecond}
		p.set([]*Target{third}) // in a place that was used before
		p.pass(pingTick)
		*heard = nil
		p.pass(2 * time.Second)
		require.InDelta(t, 10, len(*heard), 1)
		require.Len(t, p.targets, 2)
		p.set(nil)
		p.pass(pingTick)
		require.Zero(t, p.inFlight)
	})
}
