package real

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

const (
	garbageRate = 100_000 // packets a second
	goodRate    = 1_000
	garbageTime = 3 * time.Second
)

// TestGarbage floods the server with what is no good query while others ask good ones, each only once.
func TestGarbage(t *testing.T) {
	server := startLockkeeper(t, 1).address
	done := make(chan struct{})
	var flooding sync.WaitGroup
	var thrown atomic.Int64
	begin := time.Now()
	for i := range 2 {
		conn := dialFrom(t, loopback(9+i), server)
		flooding.Go(func() { throw(conn, done, &thrown) })
	}
	sent, answered := askPaced(t, server)
	rate := float64(thrown.Load()) / time.Since(begin).Seconds()
	close(done)
	flooding.Wait()
	t.Logf("%.0f packets of garbage a second; %d of %d good queries answered", rate, answered, sent)
	require.GreaterOrEqual(t, answered, sent*99/100, "the others may be what a machine loses that has no time for the server for 100 ms")
	if rate < garbageRate/2 {
		t.Logf("this machine is too busy to throw %d", garbageRate)
	}
}

func dialFrom(t *testing.T, from netip.Addr, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// throw throws half of the garbage. Nobody reads what comes back.
func throw(conn *net.UDPConn, done <-chan struct{}, thrown *atomic.Int64) {
	packets := garbage()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for n := 0; ; {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		for due := min(n+1000, int(time.Since(begin).Seconds()*garbageRate/2)); n < due; n++ {
			_, _ = conn.Write(packets[n%len(packets)])
			thrown.Add(1)
		}
	}
}

// garbage is a mixture of noise, mangled queries, the header that promises a question and has none, names that do not exist and of other zones.
func garbage() (packets [][]byte) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	packed := func(name string, qtype uint16) []byte {
		b, err := new(dns.Msg).SetQuestion(name, qtype).Pack()
		if err != nil {
			panic(err) // the names are right
		}
		return b
	}
	for range 1000 {
		mangled := packed("n0."+zone+".", dns.TypeA)
		mangled[random.IntN(len(mangled))] ^= byte(1 + random.IntN(255))
		packets = append(packets, noise(random.IntN(600)), mangled,
			[]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0},
			packed("x"+string(rune('a'+random.IntN(26)))+"."+zone+".", dns.TypeA), packed("example.org.", dns.TypeANY))
	}
	return packets
}

// askPaced asks good queries one by one, by four ports in turn, and returns how many there were, and how many were answered.
func askPaced(t *testing.T, server netip.AddrPort) (sent, answered int) {
	t.Helper()
	query, err := new(dns.Msg).SetQuestion("n0."+zone+".", dns.TypeA).Pack()
	require.NoError(t, err)
	var conns []*net.UDPConn
	var seen atomic.Int64
	var reading sync.WaitGroup
	for range 4 {
		conn := dialFrom(t, localhost(), server)
		conns = append(conns, conn)
		reading.Go(func() { seen.Add(int64(countAnswers(conn))) })
	}
	tick := time.NewTicker(time.Second / goodRate)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < garbageTime; sent++ {
		<-tick.C
		_, err := conns[sent%len(conns)].Write(append([]byte{byte(sent >> 8), byte(sent)}, query[2:]...))
		require.NoError(t, err)
	}
	for _, conn := range conns {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
	}
	reading.Wait()
	return sent, int(seen.Load())
}

// countAnswers counts those to different queries, which end with an address, until the deadline.
func countAnswers(conn *net.UDPConn) int {
	seen := map[[2]byte]bool{}
	var buffer [1500]byte
	for {
		n, err := conn.Read(buffer[:])
		if err != nil {
			return len(seen)
		}
		if n > 4 && slices.Contains([]string{idc1v4, idc2v4}, netip.AddrFrom4([4]byte(buffer[n-4:n])).String()) {
			seen[[2]byte(buffer[:2])] = true
		}
	}
}
