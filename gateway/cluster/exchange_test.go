package cluster

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
)

// lone is an exchange that nobody hears.
func lone() *exchange {
	t := newTally()
	e := newExchange(newMembers("self", "berlin", t.refuse, time.Now), t, meta{Site: "berlin"})
	e.running.Store(true)
	return e
}

func encoded(t *testing.T, m message) []byte {
	t.Helper()
	b, err := m.encode()
	require.NoError(t, err)
	return b
}

// Each message is merged and passed on once, who ever sends it again, and not at all if it is none.
func TestOnceMerged(t *testing.T) {
	e, r := lone(), newRegister()
	e.add("reg", r)
	change := encoded(t, message{part{"reg", []byte(`{"x":1}`)}, "other"})
	for range 3 {
		e.NotifyMsg(change)
	}
	e.NotifyMsg(encoded(t, message{part{"reg", []byte(`{"x":1}`)}, "third"})) // as a state does that broadcasts what it was given
	(&channel{"reg", e}).Broadcast([]byte(`{"x":1}`))
	require.EqualValues(t, 1, r.merged.Load())
	require.Equal(t, 1, e.gossip.NumQueued())
	require.EqualValues(t, 3, e.tally.messages[[2]string{repeated, "reg"}])
	// What its state refuses is not passed on; what is of nobody here is.
	e.NotifyMsg(encoded(t, message{part{"reg", []byte(`no JSON`)}, "other"}))
	require.EqualValues(t, 1, e.tally.refusals()["merge"].Count)
	require.Equal(t, 1, e.gossip.NumQueued())
	e.NotifyMsg(encoded(t, message{part{"sil", []byte(`anything`)}, "other"}))
	require.Equal(t, 2, e.gossip.NumQueued())
	require.EqualValues(t, 1, e.tally.messages[[2]string{received, "other"}])
	// Garbage, and our own that comes back.
	e.NotifyMsg([]byte("garbage"))
	e.MergeRemoteState([]byte("garbage"), true)
	require.EqualValues(t, 2, e.tally.refusals()["garbage"].Count)
	e.NotifyMsg(encoded(t, message{part{"reg", []byte(`{"x":2}`)}, "self"}))
	require.Equal(t, 1, r.get("x"))
	// Afterwards nothing is merged any more.
	e.stop()
	e.NotifyMsg(encoded(t, message{part{"reg", []byte(`{"x":3}`)}, "other"}))
	(&channel{"reg", e}).Broadcast([]byte(`{"x":4}`))
	require.Equal(t, 1, r.get("x"))
	require.Equal(t, 2, e.gossip.NumQueued())
}

func TestGossipIsBounded(t *testing.T) {
	e := lone()
	c := &channel{"reg", e}
	for i := range maxQueued + 10 {
		c.Broadcast([]byte(fmt.Sprint(i)))
	}
	require.Equal(t, maxQueued, e.gossip.NumQueued())
	require.EqualValues(t, 10, e.tally.dropped[queueGossip])
}

// broken is a state that cannot be told.
type broken struct{ *register }

func (broken) MarshalBinary() ([]byte, error) { return nil, errors.New("broken") }

func TestWholeState(t *testing.T) {
	from, to := lone(), lone()
	small, r := newRegister(), newRegister()
	small.set("x", 1)
	from.add("reg", small)
	from.add("broken", broken{newRegister()})
	to.add("reg", r)
	to.MergeRemoteState(from.LocalState(true), true)
	require.Equal(t, 1, r.get("x"))
	require.Equal(t, map[string]int{"reg": len(`{"x":1}`)}, from.sizesNow())
	require.EqualValues(t, 1, from.tally.refusals()["merge"].Count)

	// What is too much is left out, the largest first.
	parts := []part{{"a", []byte("small")}, {"b", []byte(long(1000))}, {"c", []byte(long(100_000))}}
	b, fit, err := encodeStates(parts, 10_000)
	require.NoError(t, err)
	require.Equal(t, 2, fit)
	got, err := decodeStates(b)
	require.NoError(t, err)
	require.Equal(t, parts[:2], got)
}

// A small packet that becomes much is refused before it is much.
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	bomb.WriteByte(wireCompressed)
	w := gzip.NewWriter(&bomb)
	_, err := w.Write(make([]byte, maxState+1))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = decodeStates(bomb.Bytes())
	require.ErrorIs(t, err, errSize)
	_, err = decodeMessage(bomb.Bytes())
	require.ErrorIs(t, err, errSize)
}

func TestMetrics(t *testing.T) {
	n := &network{}
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	first := n.make(t, "first", "berlin", nil, keyA)
	first.set = telemetry.NewTelemetrySettings()
	r := newRegister()
	channel := first.AddState("reg", r)
	second := n.make(t, "second", "tokyo", []string{start(t, first)}, keyA)
	other := newRegister()
	second.AddState("reg", other)
	start(t, second)
	eventually(t, "it came", func() bool { return len(first.Alive()) == 2 })
	channel.Broadcast(r.set("x", 1))
	eventually(t, "it is there", func() bool { return other.get("x") == 1 })
	for _, name := range []string{
		"members", "last_word_seconds", "messages_total", "bytes_total", "refused_total", "dropped_total", "queue", "state_bytes",
	} {
		_, err := telemetry.GetMetric("lockkeeper_cluster_" + name)
		require.NoError(t, err)
	}
}
