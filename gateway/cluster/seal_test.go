package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sealers(t testing.TB, of ...[]string) (all []*sealer) {
	for _, keys := range of {
		var raw [][]byte
		for _, key := range keys {
			raw = append(raw, []byte(key))
		}
		s, err := newSealer(raw)
		require.NoError(t, err)
		all = append(all, s)
	}
	return all
}

func TestPackets(t *testing.T) {
	all := sealers(t, []string{"a"}, []string{"b", "a"}, []string{"b"}, nil, nil)
	old, both, young, open, open2 := all[0], all[1], all[2], all[3], all[4]
	now := time.Now().Truncate(time.Millisecond)
	f := func(from, to *sealer, packet []byte, at time.Time, want error) {
		t.Helper()
		if packet == nil {
			packet = from.sealPacket([]byte("payload"), now)
		}
		payload, err := to.openPacket(packet, at)
		require.ErrorIs(t, err, want)
		if want == nil {
			require.Equal(t, "payload", string(payload))
		}
	}
	f(old, both, nil, now, nil)
	f(both, young, nil, now, nil)
	f(both, old, nil, now, errKey) // the first key seals
	f(old, young, nil, now, errKey)
	f(old, open, nil, now, errKey)
	f(open, open2, nil, now, nil)
	// What comes again, or much later, or from one whose clock is wrong, is stale.
	packet := old.sealPacket([]byte("payload"), now)
	f(old, both, packet, now, nil)
	f(old, both, packet, now, errStale)
	f(old, both, packet, now.Add(freshFor), errStale)
	f(old, both, packet, now.Add(time.Hour), errStale)
	f(old, both, nil, now.Add(freshFor), nil)
	f(old, both, nil, now.Add(-freshFor), nil)
	f(old, both, nil, now.Add(freshFor+time.Second), errStale)
	f(old, both, nil, now.Add(-freshFor-time.Second), errStale)
	// What is no packet is garbage; one of which a bit was turned opens with no key.
	f(old, both, []byte{}, now, errGarbage)
	f(old, both, []byte("GET / HTTP/1.1\r\nHost: gateway.example.com\r\n\r\n"), now, errGarbage)
	f(old, both, packet[:packetOverhead-1], now, errGarbage)
	for i := range packet {
		turned := bytes.Clone(packet)
		turned[i] ^= 1
		_, err := both.openPacket(turned, now)
		require.Error(t, err, i)
	}
}

// A replay is known as long as it is fresh, whenever the generations change.
func TestOnce(t *testing.T) {
	o := &once{}
	now := time.Unix(1e9, 0)
	var nonce [12]byte
	for i := range 10 {
		nonce[0] = byte(i)
		require.True(t, o.take(nonce, now))
		for range 4 {
			now = now.Add(freshFor / 2)
			require.False(t, o.take(nonce, now))
		}
		now = now.Add(time.Second)
	}
	require.Less(t, len(o.now)+len(o.last), 6)
}

// pipe is a dialed stream, and what was dialed.
func pipe(t *testing.T, from *sealer) (dialed *stream, raw net.Conn) {
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	dialed, err := dialStream(near, from, func(error) {})
	require.NoError(t, err)
	return dialed, far
}

func TestStreams(t *testing.T) {
	all := sealers(t, []string{"a"}, []string{"b", "a"})
	dialed, raw := pipe(t, all[0])
	long := make([]byte, 3*recordSize+7)
	_, _ = rand.Read(long)
	go func() { _, _ = dialed.Write(long); _, _ = dialed.Write([]byte("end")) }()
	accepted, err := acceptStream(raw, all[1], func(error) {}, time.Now)
	require.NoError(t, err)
	got := make([]byte, len(long)+3)
	_, err = io.ReadFull(accepted, got)
	require.NoError(t, err)
	require.Equal(t, string(long)+"end", string(got))
	// The answer is sealed with a key that who dialed does not have.
	go func() { _, _ = accepted.Write([]byte("answer")) }()
	_, err = dialed.Read(got)
	require.ErrorIs(t, err, errKey)
}

// record is what a dialed stream sends.
func recorded(t *testing.T, from *sealer, writes ...string) []byte {
	t.Helper()
	dialed, raw := pipe(t, from)
	go func() {
		for _, text := range writes {
			_, _ = dialed.Write([]byte(text))
		}
		_ = dialed.Close()
	}()
	sent, err := io.ReadAll(raw)
	require.NoError(t, err)
	return sent
}

// recording is a connection that somebody plays.
type recording struct {
	net.Conn
	io.Reader
}

func (r recording) Read(b []byte) (int, error) { return r.Reader.Read(b) }

func TestStreamRefused(t *testing.T) {
	all := sealers(t, []string{"a"}, []string{"a"}, []string{"b"})
	f := func(to *sealer, sent []byte, later time.Duration, want error) {
		t.Helper()
		s, err := acceptStream(recording{Reader: bytes.NewReader(sent)}, to, func(error) {}, func() time.Time { return time.Now().Add(later) })
		if err == nil {
			_, err = io.ReadAll(s)
		}
		require.ErrorIs(t, err, want)
	}
	sent := recorded(t, all[0], "first", "second")
	f(all[2], sent, 0, errKey)
	f(all[1], sent, freshFor+time.Second, errStale)
	f(all[1], sent, 0, nil)
	f(all[1], sent, 0, errStale) // it comes again
	f(all[1], []byte("GET / HTTP/1.1\r\n\r\n"), 0, errGarbage)
	f(all[1], append([]byte{wireVersion}, bytes.Repeat([]byte{255}, 100)...), 0, errGarbage)
	f(all[1], nil, 0, io.EOF)
	// A record of another stream, or twice the same.
	other, first := recorded(t, all[0], "first", "second"), len(recorded(t, all[0], "first"))
	f(all[1], append(bytes.Clone(other[:first]), sent[first:]...), 0, errKey)
	again := recorded(t, all[0], "first", "second")
	f(all[1], append(again, again[first:]...), 0, errKey)
	// What was said by one side cannot be played to it.
	require.False(t, bytes.Equal((&stream{}).about(true, 1), (&stream{}).about(false, 1)))
}

// Whoever sends what no member sends changes nothing, and is counted.
func TestRefusedIsCounted(t *testing.T) {
	members, registers, broadcast := three(t, &network{}, keyA)
	c := members[0]
	at := c.transport.advertise
	udp, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	require.NoError(t, err)
	defer func() { require.NoError(t, udp.Close()) }()
	count := func(reason string) int64 { return c.tally.refusals()[reason].Count }
	// A packet that a member got before.
	captured := members[1].transport.sealer.sealPacket([]byte{0xff}, time.Now().Add(-freshFor-time.Minute))
	wrong := sealers(t, []string{"another key"})[0]
	before := registers[0].all()
	eventually(t, "all kinds are counted", func() bool {
		for _, packet := range [][]byte{[]byte("garbage"), wrong.sealPacket([]byte("x"), time.Now()), captured} {
			_, err := udp.Write(packet)
			require.NoError(t, err)
		}
		return count("garbage") > 0 && count("key") > 0 && count("stale") > 0
	})
	require.Equal(t, before, registers[0].all())
	// By TCP.
	garbage := count("garbage")
	eventually(t, "a stream of garbage is counted", func() bool {
		conn, err := net.Dial("tcp", at.String())
		require.NoError(t, err)
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NoError(t, conn.Close())
		return count("garbage") > garbage
	})
	// Silent streams take their places for some seconds, and no memory.
	var silent []net.Conn
	eventually(t, "too many are refused", func() bool {
		conn, err := net.Dial("tcp", at.String())
		require.NoError(t, err)
		silent = append(silent, conn)
		return count("busy") > 0
	})
	for _, conn := range silent {
		require.NoError(t, conn.Close())
	}
	broadcast[1]("still", 1)
	eventually(t, "it works", func() bool { return registers[0].get("still") == 1 })
	require.Len(t, c.Alive(), 3)
}

// A member with another key is never one.
func TestWrongKey(t *testing.T) {
	n := &network{}
	first := n.make(t, "first", "berlin", nil, keyA)
	at := start(t, first)
	stranger := n.make(t, "stranger", "tokyo", []string{at}, keyB)
	r := newRegister()
	first.AddState("reg", r)
	other := newRegister()
	other.set("x", 1)
	stranger.AddState("reg", other)
	start(t, stranger)
	require.NoError(t, stranger.WaitReady(context.Background()))
	eventually(t, "it is counted", func() bool { return first.tally.refusals()["key"].Count > 0 })
	require.Len(t, first.Alive(), 1)
	require.Len(t, stranger.Alive(), 1)
	require.Zero(t, r.get("x"))
	require.NotEmpty(t, stranger.joiner.away())
}

// Ports: one that is taken is an error that says what to do.
func TestEndpointTaken(t *testing.T) {
	n := &network{}
	at := start(t, n.make(t, "first", "berlin", nil))
	second := n.make(t, "second", "berlin", nil)
	second.cfg.Endpoint = at
	err := second.Start(context.Background(), hostWith{})
	require.ErrorContains(t, err, "cluster::endpoint \""+at+"\"")
	require.ErrorContains(t, err, "end what listens there, or set another endpoint")
	require.Equal(t, 1, strings.Count(err.Error(), "cluster::endpoint"))
	for text, want := range map[string]string{":7946": "0.0.0.0:7946", "localhost:7946": "127.0.0.1:7946", "[::1]:7946": "[::1]:7946"} {
		got, err := lookUpOne(context.Background(), text)
		require.NoError(t, err)
		require.Equal(t, want, got.String())
	}
}
