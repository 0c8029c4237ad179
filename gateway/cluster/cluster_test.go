package cluster

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThree(t *testing.T) {
	members, registers, broadcast := three(t, &network{}, keyA)
	for i, c := range members {
		name, site := c.Self()
		require.Equal(t, "gateway-"+site, name)
		require.Equal(t, map[string]string{"gateway-berlin": "berlin", "gateway-tokyo": "tokyo", "gateway-outside": "outside"}, c.Alive())
		require.Equal(t, map[string]int{"berlin": 0, "outside": 1, "tokyo": 2}[site], c.Position(), i)
		require.NoError(t, c.WaitReady(context.Background()))
	}
	// A small change, and one that is too long for a packet.
	for i, name := range []string{"small", long(50_000)} {
		var slowest time.Duration
		for n := 1; n <= 10; n++ {
			began := time.Now()
			broadcast[n%3](name, n)
			eventually(t, "all have it", func() bool {
				return registers[0].get(name) == n && registers[1].get(name) == n && registers[2].get(name) == n
			})
			slowest = max(slowest, time.Since(began))
		}
		t.Logf("the slowest of 10 changes (%d) was everywhere in %v", i, slowest)
	}
}

// Who comes later learns of all that was before, whenever its states are added.
func TestLate(t *testing.T) {
	n := &network{}
	first := n.make(t, "first", "berlin", nil, keyA)
	r := newRegister()
	first.AddState("reg", r).Broadcast(r.set("before the start", 1))
	at := start(t, first)
	require.NoError(t, first.WaitReady(context.Background())) // there is nobody to wait for

	second := n.make(t, "second", "tokyo", []string{at}, keyA)
	early, late := newRegister(), newRegister()
	second.AddState("reg", early)
	other := newRegister()
	other.set("x", 7)
	first.AddState("late", other)
	start(t, second)
	require.NoError(t, second.WaitReady(context.Background()))
	require.Equal(t, 1, early.get("before the start"))
	second.AddState("late", late)
	require.NoError(t, second.WaitReady(context.Background()))
	require.Equal(t, 7, late.get("x"))
}

func TestWatchMembers(t *testing.T) {
	n := &network{}
	first := n.make(t, "first", "berlin", nil)
	var calls atomic.Int64
	first.WatchMembers(func() { calls.Add(1) })
	stop := first.WatchMembers(func() { t.Error("it was stopped") })
	stop()
	at := start(t, first)
	second := n.make(t, "second", "tokyo", []string{at})
	require.NoError(t, second.Start(context.Background(), hostWith{}))
	eventually(t, "it came", func() bool { return len(first.Alive()) == 2 && calls.Load() >= 1 })
	calls.Store(0)
	require.NoError(t, second.Shutdown(context.Background()))
	eventually(t, "it went", func() bool { return len(first.Alive()) == 1 && calls.Load() >= 1 })
}

// One that is stopped is not lost. Stopped or not, its site is silent.
func TestLeave(t *testing.T) {
	t.Parallel()
	n := &network{}
	members, _, _ := three(t, n, keyA)
	state := func(c *cluster) (state string) {
		for _, m := range c.members.all() {
			if m.Name == "gateway-outside" {
				state = m.State
			}
		}
		return state
	}
	at := members[2].transport.advertise.String()
	require.NoError(t, members[2].Shutdown(context.Background()))
	for _, c := range members[:2] {
		eventually(t, "it went", func() bool { return len(c.Alive()) == 2 })
		require.Equal(t, stateLeft, state(c))
	}
	members[0].now = func() time.Time { return time.Now().Add(silentAfter) }
	require.Equal(t, "outside", members[0].silences()[0].Site)
	require.Contains(t, members[0].silences()[0].Why, "was stopped")

	again := n.make(t, "gateway-outside", "outside", []string{members[0].transport.advertise.String()}, keyA)
	again.cfg.Endpoint = at
	start(t, again)
	eventually(t, "it is back", func() bool { return state(members[0]) == stateAlive })
	require.NoError(t, again.transport.Shutdown()) // without a word
	eventually(t, "it is lost", func() bool { return state(members[0]) == stateLost })
}

// With a second key first here, then there, then without the old one, nobody ever misses anything.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	n := &network{}
	steps := [][]string{{keyA}, {keyA, keyB}, {keyB, keyA}, {keyB}}
	var at [2]string
	r := [2]*register{newRegister(), newRegister()}
	running := [2]*cluster{}
	broadcast := [2]func([]byte){}
	restart := func(i int, keys []string) {
		if running[i] != nil {
			require.NoError(t, running[i].Shutdown(context.Background()))
		}
		running[i] = n.make(t, "gateway-"+strconv.Itoa(i), "site-"+strconv.Itoa(i), []string{at[1-i]}[:min(1, len(at[1-i]))], keys...)
		if at[i] != "" {
			running[i].cfg.Endpoint = at[i]
		}
		broadcast[i] = running[i].AddState("reg", r[i]).Broadcast
		require.NoError(t, running[i].Start(context.Background(), hostWith{}))
		at[i] = running[i].transport.advertise.String()
	}
	for step, keys := range steps {
		for i := range running {
			restart(i, keys)
			if running[1-i] == nil {
				continue
			}
			eventually(t, "they know each other", func() bool { return len(running[0].Alive()) == 2 && len(running[1].Alive()) == 2 })
			change := 2*step + i
			broadcast[i](r[i].set("x", change))
			eventually(t, "it is everywhere", func() bool { return r[1-i].get("x") == change })
		}
	}
	for _, c := range running {
		require.NoError(t, c.Shutdown(context.Background()))
	}
}
