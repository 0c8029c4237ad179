package dns

import (
	"crypto/rand"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// Bound to all addresses, the answer comes from the one that was asked: a connected client takes no other.
func TestAnswersComeFromTheAddressAsked(t *testing.T) {
	r := start(t, strings.Replace(oneZone, "127.0.0.1:0", ":0", 1))
	_, port, err := net.SplitHostPort(r.at)
	require.NoError(t, err)
	hosts := []string{"127.0.0.1", "127.3.2.1"}
	if probe, err := net.ListenPacket("udp6", "[::1]:0"); err == nil {
		_ = probe.Close()
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		r.at = net.JoinHostPort(host, port)
		require.Len(t, r.ask(t, "udp", api, dns.TypeA).Answer, 1, host)
		require.Len(t, r.ask(t, "tcp", api, dns.TypeA).Answer, 1, host)
	}
}

// Nothing is left over from one packet to the next, whatever their lengths.
func TestManyAtOnce(t *testing.T) {
	r := start(t, oneZone+"rate_limit: {others_per_second: 0}\n")
	conn, buffer := r.dial(t), make([]byte, maxUDP)
	const together = 100 // the client's receive buffer is a small one
	for range 50 {
		asked := map[uint16]string{}
		for i := range together {
			q := new(dns.Msg).SetQuestion(strings.Repeat("x", 1+i%60)+".gslb.example.com.", dns.TypeA)
			if i%3 == 0 {
				q.SetQuestion(api, dns.TypeA)
			}
			q.Id, asked[uint16(i)] = uint16(i), q.Question[0].Name
			packed, err := q.Pack()
			require.NoError(t, err)
			_, err = conn.Write(packed)
			require.NoError(t, err)
		}
		for len(asked) > 0 {
			n, err := conn.Read(buffer)
			require.NoError(t, err)
			var m dns.Msg
			require.NoError(t, m.Unpack(buffer[:n]))
			require.Equal(t, asked[m.Id], m.Question[0].Name)
			require.Equal(t, m.Question[0].Name == api, m.Rcode == dns.RcodeSuccess)
			delete(asked, m.Id)
		}
	}
}

func TestOversizedPackets(t *testing.T) {
	r := start(t, oneZone)
	conn := r.dial(t)
	_, err := conn.Write(make([]byte, 4000))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_dropped_total", "reason", "oversized") == 1 }, time.Minute, time.Millisecond)
	require.Len(t, r.ask(t, "udp", api, dns.TypeA).Answer, 1)
}

// The 12-byte packet that says that it has a question, and others that are none.
func TestPacketsThatAreNoQueries(t *testing.T) {
	r := start(t, oneZone)
	conn := r.dial(t)
	f := func(packet []byte) {
		t.Helper()
		_, err := conn.Write(packet)
		require.NoError(t, err)
		require.Len(t, r.ask(t, "udp", api, dns.TypeA).Answer, 1)
	}
	f([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	f(nil)
	f([]byte{0})
	f([]byte{0x12, 0x34, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // a response
	require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_dropped_total", "reason", "ignored") == 3 }, time.Minute, time.Millisecond)
	require.Zero(t, r.counter(t, "lockkeeper_dns_panics_total"))
}

// A packet that panics costs itself alone, and is shown once.
func TestPanics(t *testing.T) {
	r := start(t, oneZone)
	good := r.table.Load()
	bad := *good
	bad.entries = nil
	r.table.Store(&bad)
	conn := r.dial(t)
	for i := range 3 {
		_, err := conn.Write(question(t, api))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_panics_total", "transport", "udp") == int64(i+1) }, time.Minute, time.Millisecond)
	}
	stream := r.dialTCP(t)
	_, err := stream.Write(prefixed(t, api))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_panics_total", "transport", "tcp") == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, 1, r.logs.FilterMessageSnippet("panicked").Len())
	r.table.Store(good)
	require.Len(t, r.ask(t, "udp", api, dns.TypeA).Answer, 1)
}

// Garbage at 100,000 packets a second and more, with good queries between: these are answered.
func TestGarbage(t *testing.T) {
	r := start(t, oneZone)
	var stop atomic.Bool
	sent := make(chan int)
	go func() {
		conn, err := net.Dial("udp", r.at)
		if err != nil {
			t.Error(err)
			sent <- 0
			return
		}
		defer conn.Close()
		garbage := make([]byte, 1<<16)
		_, _ = rand.Read(garbage)
		good := question(t, api)
		n := 0
		for begun := time.Now(); !stop.Load(); n++ {
			packet := garbage[n%(1<<15):][:n%200]
			if n%2 == 0 { // almost a query
				packet = append(good[:len(good)-1-n%10:len(good)-1-n%10], packet...)
			}
			_, _ = conn.Write(packet)
			if ahead := n - int(time.Since(begun).Seconds()*100_000); ahead > 1000 {
				time.Sleep(time.Duration(ahead) * 10 * time.Microsecond)
			}
		}
		sent <- n
	}()
	conn, asked, buffer := r.dial(t), question(t, api), make([]byte, maxUDP)
	begun, answered, lost, longest := time.Now(), 0, 0, time.Duration(0)
	for time.Since(begun) < 2*time.Second {
		at := time.Now()
		require.NoError(t, conn.SetReadDeadline(at.Add(time.Second)))
		_, err := conn.Write(asked)
		require.NoError(t, err)
		if _, err = conn.Read(buffer); err != nil { // a busy machine: the receive buffer holds some 50 ms of this
			lost++
			continue
		}
		answered++
		longest = max(longest, time.Since(at))
	}
	stop.Store(true)
	packets := <-sent
	t.Logf("%.0f packets of garbage a second; %d queries were answered, the slowest in %s, %d were lost",
		float64(packets)/time.Since(begun).Seconds(), answered, longest, lost)
	require.Greater(t, answered, 100*lost)
	require.Zero(t, r.counter(t, "lockkeeper_dns_panics_total"))
	require.Positive(t, r.counter(t, "lockkeeper_dns_limited_total", "became", "dropped"))
}

// What does not fit into the receive buffer is counted.
func TestOverflow(t *testing.T) {
	d := &decider{} // which does not decide, so that nobody reads
	r := start(t, oneZone, d)
	conn := r.dial(t)
	packet := make([]byte, 1400)
	require.Eventually(t, func() bool {
		for range 1000 {
			_, _ = conn.Write(packet)
		}
		return r.counter(t, "lockkeeper_dns_receive_overflow_total") > 0
	}, time.Minute, time.Millisecond)
	d.decide(1, 5000, 5000)
}

func TestAnswersAllocateNothing(t *testing.T) {
	r := start(t, oneZone)
	w, from := r.answering[0][0], netip.MustParseAddr("192.0.2.1")
	asked, room := question(t, api), make([]byte, 0, maxUDP)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		answer := w.answer(w.table.Load(), room, asked)
		if w.limiter.limits(answer, len(asked)) {
			t.Fatal("limited")
		}
	}))
	nothing, err := w.table.Load().fast(room, asked)
	require.True(t, err)
	require.Zero(t, testing.AllocsPerRun(1000, func() { w.limit(nothing, from, len(asked)) }))
}
