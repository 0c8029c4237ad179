package real

import (
	"encoding/binary"
	"iter"
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

// TestGarbage floods the server with what is no good query while others ask good ones, each up to five times, as resolvers do: a machine
// that has no time for the server for 100 ms loses what comes then.
func TestGarbage(t *testing.T) {
	lockkeeper := startLockkeeper(t, 1)
	server := lockkeeper.address
	done := make(chan struct{})
	var flooding sync.WaitGroup
	var thrown atomic.Int64
	begin, before := time.Now(), cpuTime(t, lockkeeper.pid)
	for i := range 2 {
		conn := dialFrom(t, loopback(9+i), server)
		flooding.Go(func() { throw(conn, done, &thrown) })
	}
	good := newAsker(t, server)
	first := good.ask(t, good.paced())
	missing := first
	for try := 2; try <= 5 && len(missing) > 0; try++ {
		missing = good.ask(t, slices.Values(missing))
	}
	rate := float64(thrown.Load()) / time.Since(begin).Seconds()
	cost := float64((cpuTime(t, lockkeeper.pid) - before).Microseconds()) / float64(thrown.Load())
	close(done)
	flooding.Wait()
	t.Logf("%.0f packets of garbage a second, which cost %.1f CPU-µs each; of %d good queries %d were not answered at once, and %d never",
		rate, cost, good.asked, len(first), len(missing))
	require.Empty(t, missing)
	require.Less(t, len(first), good.asked/2)
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

// asker asks good queries, whose ids count up.
type asker struct {
	query []byte
	conn  *net.UDPConn
	asked int
}

func newAsker(t *testing.T, server netip.AddrPort) *asker {
	t.Helper()
	query, err := new(dns.Msg).SetQuestion("n0."+zone+".", dns.TypeA).Pack()
	require.NoError(t, err)
	return &asker{query: query, conn: dialFrom(t, localhost(), server)}
}

// paced are the ids of new queries, at their time.
func (a *asker) paced() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		tick := time.NewTicker(time.Second / goodRate)
		defer tick.Stop()
		for begin := time.Now(); time.Since(begin) < garbageTime && yield(uint16(a.asked)); a.asked++ {
			<-tick.C
		}
	}
}

// ask asks queries and returns those that were not answered within a second after the last.
func (a *asker) ask(t *testing.T, ids iter.Seq[uint16]) (missing []uint16) {
	t.Helper()
	answered := map[uint16]bool{}
	var reading sync.WaitGroup
	require.NoError(t, a.conn.SetReadDeadline(time.Time{}))
	reading.Go(func() { a.read(answered) })
	var asked []uint16
	for id := range ids {
		_, err := a.conn.Write(append(binary.BigEndian.AppendUint16(nil, id), a.query[2:]...))
		require.NoError(t, err)
		asked = append(asked, id)
	}
	require.NoError(t, a.conn.SetReadDeadline(time.Now().Add(time.Second)))
	reading.Wait()
	return slices.DeleteFunc(asked, func(id uint16) bool { return answered[id] })
}

// read reads answers, which end with an address, until the deadline.
func (a *asker) read(answered map[uint16]bool) {
	var buffer [1500]byte
	for {
		n, err := a.conn.Read(buffer[:])
		if err != nil {
			return
		}
		if n > 4 && slices.Contains([]string{idc1v4, idc2v4}, netip.AddrFrom4([4]byte(buffer[n-4:n])).String()) {
			answered[binary.BigEndian.Uint16(buffer[:])] = true
		}
	}
}
