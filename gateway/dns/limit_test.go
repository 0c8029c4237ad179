package dns

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// answerOf is an answer with this rcode and length to a query of 40 bytes.
func answerOf(rcode int, length int) []byte {
	a := make([]byte, length)
	a[3] = byte(rcode)
	return a
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(RateLimit{OthersPerSecond: 10, Slip: 2})
		allowed := func(from string, answer []byte, tries int) (n int) {
			for range tries {
				if !l.limits(answer, 40) || l.allow(answer, 40, netip.MustParseAddr(from)) {
					n++
				}
			}
			return n
		}
		nxdomain := answerOf(dns.RcodeNameError, 100)
		// A second's worth at once, and then ten a second.
		require.Equal(t, 10, allowed("192.0.2.1", nxdomain, 1000))
		time.Sleep(time.Second / 2)
		require.Equal(t, 5, allowed("192.0.2.1", nxdomain, 1000))
		time.Sleep(time.Hour)
		require.Equal(t, 10, allowed("192.0.2.1", nxdomain, 1000))
		// Neighbours share; other networks and other kinds do not.
		require.Zero(t, allowed("192.0.2.200", nxdomain, 10))
		require.Equal(t, 10, allowed("192.0.3.1", nxdomain, 100))
		require.Equal(t, 10, allowed("::ffff:192.0.4.1", nxdomain, 100))
		require.Zero(t, allowed("192.0.4.1", nxdomain, 100))
		require.Equal(t, 10, allowed("192.0.2.1", answerOf(dns.RcodeRefused, 40), 100))
		require.Equal(t, 10, allowed("192.0.2.1", answerOf(dns.RcodeSuccess, 121), 100))
		require.Equal(t, 10, allowed("2001:db8::1", nxdomain, 100))
		require.Zero(t, allowed("2001:db8:0:ff::1", nxdomain, 100))
		require.Equal(t, 10, allowed("2001:db8:0:100::1", nxdomain, 100))
		// Answers that help nobody who forges senders are not limited.
		require.Equal(t, 1000, allowed("192.0.2.1", answerOf(dns.RcodeSuccess, 120), 1000))
	})
}

func TestLimitOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(RateLimit{AnswersPerSecond: 100})
		short, from := answerOf(dns.RcodeSuccess, 60), netip.MustParseAddr("192.0.2.1")
		n := 0
		for range 1000 {
			if require.True(t, l.limits(short, 40)); l.allow(short, 40, from) {
				n++
			}
		}
		require.Equal(t, 100, n)
		require.False(t, l.limits(answerOf(dns.RcodeNameError, 100), 40))
		require.False(t, l.slips())
	})
}

// More networks than there is room for: the limiter does not grow, and one that is loud stays limited.
func TestLimitOfManyNetworks(t *testing.T) {
	l := newLimiter(RateLimit{OthersPerSecond: 100})
	refused, loud := answerOf(dns.RcodeRefused, 40), netip.MustParseAddr("192.0.2.1")
	begun, allowed := time.Now(), 0
	for i := range 1 << 20 {
		if l.allow(refused, 40, loud) {
			allowed++
		}
		l.allow(refused, 40, netip.AddrFrom4([4]byte{10, byte(i >> 12), byte(i >> 4), 1}))
	}
	require.LessOrEqual(t, allowed, 101+int(100*time.Since(begun).Seconds()))
	require.Zero(t, testing.AllocsPerRun(1000, func() { l.allow(refused, 40, loud) }))
}

// An answer over the limit tells the client to come by TCP, every second time.
func TestTruncate(t *testing.T) {
	r := start(t, oneZone+"rate_limit: {others_per_second: 1, slip: 2}\n")
	var rcodes []int
	for range 20 {
		conn := r.dial(t)
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Millisecond)))
		q := new(dns.Msg).SetQuestion("No.gslb.example.com.", dns.TypeA)
		packed, err := q.Pack()
		require.NoError(t, err)
		_, err = conn.Write(packed)
		require.NoError(t, err)
		buffer := make([]byte, maxUDP)
		n, err := conn.Read(buffer)
		if err != nil {
			continue
		}
		var m dns.Msg
		require.NoError(t, m.Unpack(buffer[:n]))
		require.Equal(t, q.Id, m.Id)
		require.Equal(t, q.Question, m.Question)
		if m.Truncated {
			require.Len(t, packed, n, "nothing but header and question")
		}
		rcodes = append(rcodes, m.Rcode)
	}
	require.Contains(t, rcodes, dns.RcodeNameError)
	require.Contains(t, rcodes, dns.RcodeSuccess)
	require.Positive(t, r.counter(t, "lockkeeper_dns_limited_total", "became", "truncated"))
	require.Positive(t, r.counter(t, "lockkeeper_dns_limited_total", "became", "dropped"))
	require.Equal(t, dns.RcodeNameError, r.ask(t, "tcp", "no.gslb.example.com.", dns.TypeA).Rcode)
}

func FuzzTruncate(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	packed, err := new(dns.Msg).SetQuestion(api, dns.TypeA).Pack()
	require.NoError(f, err)
	f.Add(packed)
	f.Fuzz(func(t *testing.T, message []byte) {
		end := questionEnd(message)
		require.LessOrEqual(t, end, len(message))
		var m dns.Msg
		if m.Unpack(message) == nil && len(m.Question) == 1 && m.Question[0].Qclass != 0 && end == 0 { // miekg/dns takes a name alone for a question
			for _, b := range message[headerLength:] {
				if b >= 0xc0 { // it may be a pointer, which no question of ours has
					return
				}
			}
			t.Fatal("it has a question")
		}
		if len(message) >= headerLength {
			new(tally).count(message)
			truncate(&message)
		}
	})
}
