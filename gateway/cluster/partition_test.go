package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two that cannot reach each other hear of each other by the third, and stay members.
func TestCutBetweenTwo(t *testing.T) {
	n := &network{}
	members, registers, broadcast := three(t, n, keyA)
	n.set(true, members[0], members[1])
	for i, name := range []string{"small", long(2000)} {
		broadcast[0](name, 1)
		eventually(t, "it got around the cut", func() bool { return registers[1].get(name) == 1 })
		broadcast[1](name, 2)
		eventually(t, "it got back", func() bool { return registers[0].get(name) == 2 })
		require.Len(t, members[0].Alive(), 3, i)
		require.Len(t, members[1].Alive(), 3, i)
	}
	n.set(false, members[0], members[1])
}

// One that was cut off is lost to the others, and they to it. When the cut ends, each has what all have.
func TestPartition(t *testing.T) {
	t.Parallel()
	n := &network{}
	members, registers, broadcast := three(t, n, keyA)
	began := time.Now()
	n.set(true, members[0], members[2])
	n.set(true, members[1], members[2])
	broadcast[0]("inside", 1)
	broadcast[2]("outside", 1)
	eventually(t, "two and one", func() bool {
		return len(members[0].Alive()) == 2 && len(members[1].Alive()) == 2 && len(members[2].Alive()) == 1
	})
	t.Log("the cut was seen after", time.Since(began))
	began = time.Now()
	require.Zero(t, registers[2].get("inside"))
	require.Zero(t, registers[0].get("outside"))
	n.set(false, members[0], members[2])
	n.set(false, members[1], members[2])
	for i, r := range registers {
		eventually(t, "all are there", func() bool { return len(members[i].Alive()) == 3 })
		eventually(t, "all is everywhere", func() bool { return r.get("inside") == 1 && r.get("outside") == 1 })
	}
	t.Log("its end was seen after", time.Since(began))
}

// One that was killed comes back by the same name, at the same address and at another.
func TestKilled(t *testing.T) {
	t.Parallel()
	began := time.Now()
	n := &network{}
	members, registers, broadcast := three(t, n, keyA)
	first := members[0].transport.advertise.String()
	for _, at := range []string{members[2].transport.advertise.String(), "127.0.0.1:0"} {
		killed := members[2]
		require.NoError(t, killed.transport.Shutdown()) // without a word
		require.NoError(t, killed.Shutdown(t.Context()))
		broadcast[0]("meanwhile", registers[0].get("meanwhile")+1)
		members[2] = n.make(t, "gateway-outside", "outside", []string{first}, keyA)
		members[2].cfg.Endpoint = at
		r := newRegister()
		members[2].AddState("reg", r)
		start(t, members[2])
		eventually(t, "it knows what was meanwhile", func() bool { return r.get("meanwhile") == registers[0].get("meanwhile") })
		eventually(t, "all are there, where they are", func() bool {
			for _, known := range members[0].members.all() {
				if known.Name == "gateway-outside" && (known.Address != members[2].transport.advertise || known.State != stateAlive) {
					return false
				}
			}
			return len(members[0].Alive()) == 3 && len(members[1].Alive()) == 3 && len(members[2].Alive()) == 3
		})
		t.Log(at, time.Since(began))
	}
}

// One that takes nothing costs a bounded queue, and learns of all when it takes again.
func TestSlowMember(t *testing.T) {
	t.Parallel()
	lane := &lane{}
	for range maxLane {
		require.Zero(t, lane.push(make([]byte, 10)))
	}
	require.False(t, lane.behind)
	require.Equal(t, 1, lane.push(make([]byte, 10)))
	require.Equal(t, 2, lane.push(make([]byte, maxLaneBytes-maxLane*10+15)))
	require.True(t, lane.behind)
	require.LessOrEqual(t, lane.bytes, maxLaneBytes)

	n := &network{}
	members, registers, broadcast := three(t, n)
	n.set(true, members[0], members[1])
	n.set(true, members[1], members[2])
	for i := range 2 * maxLane {
		broadcast[0](long(2000), i)
	}
	require.NotNil(t, members)
	eventually(t, "what was not delivered is counted", func() bool {
		members[0].tally.mu.Lock()
		defer members[0].tally.mu.Unlock()
		return members[0].tally.dropped[queueLarge] > 0
	})
	n.set(false, members[0], members[1])
	n.set(false, members[1], members[2])
	eventually(t, "it learns of all", func() bool { return registers[1].get(long(2000)) == 2*maxLane-1 })
	require.NoError(t, members[1].WaitReady(context.Background()))
}
