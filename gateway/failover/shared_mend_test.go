package failover

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A gateway goes on by its wall clock when another one's time says that this was mended, and only then.
func TestWrongClock(t *testing.T) {
	now := time.Now()
	f := func(wrongAtStart, othersAhead time.Duration, want bool) {
		t.Helper()
		c := &clock{began: now}
		c.mended.Store(int64(wrongAtStart))
		later := now.Add(time.Hour)
		require.Equal(t, want, c.wrong(later.Add(othersAhead).UnixNano(), later), "%v, %v", wrongAtStart, othersAhead)
		if want {
			require.Equal(t, -wrongAtStart, c.mend(later))
			require.WithinDuration(t, later, c.at(later), 0)
			require.False(t, c.wrong(later.Add(othersAhead).UnixNano(), later), "once is enough")
		}
	}
	f(0, 0, false)
	f(0, time.Hour, false)  // the other one is wrong
	f(0, -time.Hour, false) // likewise
	f(-time.Hour, 0, true)
	f(time.Hour, 0, true)
	f(time.Hour, 59*time.Second, true)
	f(365*24*time.Hour, -time.Minute, true)
	f(30*time.Second, 0, false)         // near enough
	f(time.Hour, time.Hour, false)      // the wall clock was set back, and wrongly: the other one has this one's time
	f(-time.Hour, -time.Hour, false)    // or set ahead
	f(time.Hour, 2*time.Minute, false)  // nobody is right
	f(-time.Hour, -2*time.Hour, false)  // likewise
	f(2*time.Hour, -time.Hour, false)   // likewise
	f(time.Hour, -2*time.Minute, false) // likewise
}

// One that started with a wrong clock is deaf, or nobody hears it, until the clock is mended. Then it decides with the others again, and brings
// nothing back that they have ended meanwhile.
func TestClockIsMended(t *testing.T) {
	f := func(wrong time.Duration) {
		inBubble(t, func(t *testing.T, directory string) {
			n := &network{}
			one := func(m *peer, change ...func(*failover)) *gateway {
				cfg := acting(directory + "/" + m.name)
				cfg.Sites = threeSites()
				return launchAmong(t, cfg, m, change...)
			}
			well := []string{entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d"}
			ill := []string{entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d"}
			tokyo, outside := one(n.join("t1", "tokyo")), one(n.join("w1", "outside"))
			look(5, well, tokyo, outside)
			m := n.join("b1", "berlin")
			n.part("b1") // a clock that is wrong by more than two minutes parts it from the others
			berlin := one(m, func(f *failover) { f.clock.mended.Store(int64(wrong)) })
			defer func() { berlin.stop(); tokyo.stop(); outside.stop() }()
			look(10, ill, berlin, tokyo, outside)
			require.Contains(t, tokyo.serving().Out, "machine/a")
			hold := func(g *gateway, subject string) {
				t.Helper()
				answer := g.ask("POST", "/api/v1/failover/hold", `{"subject":"`+subject+`","action":"eject","for":"3h"}`)
				require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
			}
			hold(berlin, "machine/b")
			hold(tokyo, "machine/c")
			look(60, well, berlin, tokyo, outside)
			require.NotContains(t, tokyo.serving().Out, "machine/a", "it is well again")
			before := berlin.serving().Version

			n.part() // the clock is mended, and they meet
			look(3, well, berlin, tokyo, outside)
			require.True(t, sameServing(berlin.serving(), tokyo.serving()), "%v\n%v", berlin.serving(), tokyo.serving())
			require.Greater(t, berlin.serving().Version, before)
			require.Contains(t, berlin.serving().Out, "machine/c", "it hears the others")
			require.NotContains(t, berlin.serving().Out, "machine/a", "nothing old returns")
			require.Equal(t, int64(1), berlin.metric(t, "lockkeeper_failover_shared_clock_mended_total"))
			require.Zero(t, tokyo.metric(t, "lockkeeper_failover_shared_clock_mended_total"))
			require.Contains(t, berlin.ask("GET", "/api/v1/events?kind=state", "").Body.String(), "goes on by the wall clock")
			require.NotContains(t, berlin.alertNames(), "FailoverClock")
			n.part()
			look(1, well, berlin, tokyo, outside)
			_, holds := tokyo.serving().Out["machine/b"]
			require.Equal(t, wrong > -3*time.Hour, holds, "what a person said to it is told to all, if it is not over")

			// The others hear it again.
			look(10, []string{"!" + entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d"}, berlin, outside, tokyo)
			require.Equal(t, berlin.serving().Version, tokyo.serving().Version)
			require.Equal(t, uint32(0), tokyo.entry()["idc1"])
			require.Equal(t, int64(1), berlin.metric(t, "lockkeeper_failover_shared_clock_mended_total"))
		})
	}
	f(-time.Hour)
	f(time.Hour)
	f(-24 * time.Hour)
	f(365 * 24 * time.Hour)
}

// A shift that began at a time that has not come yet ends when the clock is mended: no other gateway would take it, and it would last for as long.
func TestClockIsMendedWhileShifting(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		n := &network{}
		cfg := acting(directory + "/b1")
		cfg.Sites = threeSites()
		m := n.join("b1", "berlin")
		n.part("b1")
		berlin := launchAmong(t, cfg, m, func(f *failover) { f.clock.mended.Store(int64(24 * time.Hour)) })
		other := acting(directory + "/t1")
		other.Sites = threeSites()
		tokyo := launchAmong(t, other, n.join("t1", "tokyo"))
		defer func() { berlin.stop(); tokyo.stop() }()
		well := []string{entry1, entry2}
		look(5, well, berlin, tokyo)
		answer := berlin.ask("POST", "/api/v1/failover/shift", `{"to":{"idc1":10},"for":"30m"}`)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		require.Equal(t, uint32(1000), berlin.entry()["idc1"])
		n.part()
		look(3, well, berlin, tokyo)
		same(t, berlin, tokyo)
		require.Equal(t, uint32(5000), berlin.entry()["idc1"])
		require.Contains(t, berlin.ask("GET", "/api/v1/events?kind=shift", "").Body.String(), "has not come yet")
	})
}

// News that come between another gateway's whole and the moment at which this one goes on by the wall clock are told but once: they count.
func TestNewsWhileClockIsMended(t *testing.T) {
	now := time.Now()
	for _, wrong := range []time.Duration{-time.Hour, time.Hour} {
		other := newLedger("t1", threeSites(), &clock{began: now})
		c := &clock{began: now}
		c.mended.Store(int64(wrong))
		s := &sharing{self: "b1", ledger: newLedger("b1", threeSites(), c)}
		require.NoError(t, s.ledger.hear(other.whole(now), now))
		h := Hold{Subject: "machine/c", Action: Eject, At: now, Until: now.Add(3 * time.Hour), By: "somebody"}
		other.write(topicHold, h.Subject, 0, h.Until, h, now)
		for _, news := range other.tell(now) {
			require.NoError(t, s.ledger.hear(news, now))
		}
		require.True(t, s.mended())
		c.mend(now)
		s.begin(nil, now)
		require.False(t, s.mended())
		require.Len(t, s.held(now), 1, wrong)
	}
}
