package dns

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// recorded are queries that came over the wire.
func recorded(t testing.TB) (packets [][]byte) {
	t.Helper()
	file, err := os.ReadFile("testdata/queries.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(file)) {
		text, _, _ := strings.Cut(line, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		packet, err := hex.DecodeString(text)
		require.NoError(t, err)
		packets = append(packets, packet)
	}
	return packets
}

// serverZone has a name server within it, below a name that has nothing.
func serverZone() Zone {
	return Zone{
		Origin: "other.example", TTL: time.Hour, NegativeTTL: 5 * time.Second,
		NS:    map[string][]netip.Addr{"ns1.deep.other.example": addrs("127.1.0.53")},
		Names: map[string]Name{"api": name(5*time.Second, addrs("127.1.0.1"), addrs("127.2.0.1"))},
	}
}

// senseless are queries for what does not exist: no such type, no such name below each that exists, and no zone, type or class of ours.
func senseless() (queries []*dns.Msg) {
	for _, z := range []Zone{testZone(), serverZone()} {
		names := []string{z.Origin, "deep." + z.Origin, "hostmasters." + z.Origin, "xhostmaster." + z.Origin, "Nobody." + z.Origin}
		for own := range z.Names {
			names = append(names, own+"."+z.Origin)
		}
		for server := range z.NS {
			names = append(names, server)
		}
		for _, name := range names {
			queries = append(queries, query(name, dns.TypeMX), query("x."+name, dns.TypeA), query("Hostmaster.x."+name, dns.TypeHTTPS),
				query(`\000\.\255.`+strings.Repeat("y", 63)+"."+name, dns.TypeA), query(strings.Repeat("z.", 110)+name, dns.TypeANY))
		}
		queries = append(queries, query(z.Origin, dns.TypeAXFR), query(z.Origin, dns.TypeIXFR))
	}
	other := query(zoneName, dns.TypeA)
	other.Question[0].Qclass = dns.ClassCHAOS
	return append(queries, other, query(".", dns.TypeA), query("com", dns.TypeA), query("xgslb.example.com", dns.TypeA), query(strings.Repeat("q.", 127), dns.TypeA))
}

// seeds are recorded queries, senseless ones, and one for each name and usual type.
func seeds(t testing.TB) [][]byte {
	packets := recorded(t)
	for _, q := range append(senseless(), query("hostmaster."+zoneName, dns.TypeA), query("x.hostmaster.other.example", dns.TypeA)) {
		packet, err := q.Pack()
		require.NoError(t, err)
		packets = append(packets, packet)
	}
	for name := range testZone().Names {
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeMX} {
			packet, err := withOPT(query(name+"."+zoneName, kind), 1232, true).Pack()
			require.NoError(t, err)
			packets = append(packets, packet)
		}
	}
	slices.SortFunc(packets, bytes.Compare)
	return packets
}

// twins are two tables whose turns are the same as long as both are asked the same.
type twins struct{ one, other *table }

func newTwins(t testing.TB) twins {
	zones := []Zone{testZone(), serverZone()}
	require.NoError(t, check(zones))
	made := func() *table {
		made, err := compile(zones, weights(7500, 2500), 42, nil)
		require.NoError(t, err)
		return made
	}
	return twins{made(), made()}
}

// answer is what is said to a packet, and what is wrong with it.
func (w twins) answer(packet []byte) (answer []byte, fast bool, wrong string) {
	buffer := make([]byte, 0, maxUDP)
	answer, fast = w.one.fast(buffer, packet)
	if !fast {
		answer = w.one.slow(packet, true)
		w.other.slow(packet, true)
	} else if slow := w.other.slow(packet, true); !bytes.Equal(answer, slow) {
		return answer, fast, fmt.Sprintf("fast says\n%s\nslow says\n%s", hex.Dump(answer), hex.Dump(slow))
	}
	if answer == nil {
		if len(packet) >= headerLength && packet[2]&bitQR == 0 {
			return nil, fast, "no answer to a query"
		}
		return nil, fast, ""
	}
	return answer, fast, wrongAnswer(packet, answer)
}

// wrongAnswer tells what no answer over UDP may be.
func wrongAnswer(packet, answer []byte) string {
	var m dns.Msg
	switch err := m.Unpack(answer); {
	case err != nil:
		return fmt.Sprintf("%v\n%s", err, hex.Dump(answer))
	case !bytes.Equal(packet[:2], answer[:2]), packet[2]&(opcodeBits|bitRD) != answer[2]&(opcodeBits|bitRD), answer[2]&bitQR == 0, answer[3]&0xf0 != 0:
		return "the header is wrong:\n" + hex.Dump(answer)
	case len(m.Question) == 1 && !bytes.HasPrefix(packet[headerLength:], answer[headerLength:headerLength+len(wire(m.Question[0].Name))]):
		return "the question is not as it was asked:\n" + hex.Dump(answer)
	case len(answer) > maxUDP, m.IsEdns0() == nil && len(answer) > minUDP:
		return fmt.Sprintf("%d bytes are too many", len(answer))
	case m.IsEdns0() != nil && binary.BigEndian.Uint16(packet[10:]) == 0:
		return "an OPT record nobody asked for"
	}
	return ""
}

func TestLower(t *testing.T) {
	for b := range 256 {
		word := lower(uint64(b) * 0x0101010101010101)
		want := uint64(b)
		if b >= 'A' && b <= 'Z' {
			want += 'a' - 'A'
		}
		require.Equal(t, want*0x0101010101010101, word, "%#x", b)
	}
}

func FuzzFastAndSlow(f *testing.F) {
	for _, packet := range seeds(f) {
		f.Add(packet)
	}
	f.Add([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	w := newTwins(f)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if _, _, wrong := w.answer(packet); wrong != "" {
			t.Fatalf("%s\nto\n%s", wrong, hex.Dump(packet))
		}
	})
}

// LOCKKEEPER_TEST_PACKETS says how many packets are tried.
func TestMangledPackets(t *testing.T) {
	count := 100_000
	if text := os.Getenv("LOCKKEEPER_TEST_PACKETS"); text != "" {
		var err error
		count, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	w, from, random := newTwins(t), seeds(t), rand.New(rand.NewPCG(1, 2))
	var quick, silent int
	for range count {
		packet := mangle(random, from)
		answer, fast, wrong := w.answer(packet)
		if wrong != "" {
			t.Fatalf("%s\nto\n%s", wrong, hex.Dump(packet))
		}
		if answer == nil {
			silent++
		}
		if fast {
			quick++
		}
	}
	t.Logf("%d packets: %d answered by fast, %d not answered", count, quick, silent)
}

// mangle makes a packet of others.
func mangle(random *rand.Rand, from [][]byte) []byte {
	packet := slices.Clone(from[random.IntN(len(from))])
	for range random.IntN(4) {
		if len(packet) == 0 {
			break
		}
		at := random.IntN(len(packet))
		switch random.IntN(6) {
		case 0:
			packet[at] ^= 1 << random.IntN(8)
		case 1:
			packet[at] = byte(random.Uint32())
		case 2:
			packet = packet[:at]
		case 3:
			packet = slices.Insert(packet, at, byte(random.Uint32()))
		case 4:
			packet = slices.Delete(packet, at, at+1)
		case 5:
			other := from[random.IntN(len(from))]
			packet = append(packet[:at:at], other[min(at, len(other)):]...)
		}
	}
	return packet
}

// What floods ask takes neither the long way nor memory, and is told what slow says.
func TestFastTakesFloods(t *testing.T) {
	w, dst := newTwins(t), make([]byte, 0, maxUDP)
	for _, q := range senseless() {
		for range 2 {
			packet, err := q.Pack()
			require.NoError(t, err)
			answer, fast, wrong := w.answer(packet)
			require.True(t, fast, q)
			require.Empty(t, wrong, q)
			require.False(t, read(t, answer).Truncated)
			require.Zero(t, testing.AllocsPerRun(10, func() { w.one.fast(dst, packet) }))
			withOPT(q, 1232, true)
		}
	}
}

// An independent implementation reads a sample of the answers.
func TestAnswersAreReadByDNSPython(t *testing.T) {
	python, err := filepath.Abs("../../.cache/venv/bin/python")
	require.NoError(t, err)
	if exec.Command(python, "-c", "import dns.message").Run() != nil {
		const reason = "needs dnspython: make python"
		if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), "python") {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	w, from, random := newTwins(t), seeds(t), rand.New(rand.NewPCG(3, 4))
	var sample bytes.Buffer
	add := func(packet []byte) {
		if answer, _, wrong := w.answer(packet); answer != nil {
			require.Empty(t, wrong)
			fmt.Fprintf(&sample, "%x\n", answer)
		}
	}
	for _, packet := range from {
		add(packet)
	}
	for range 5000 {
		add(mangle(random, from))
	}
	file := filepath.Join(t.TempDir(), "answers")
	require.NoError(t, os.WriteFile(file, sample.Bytes(), 0o600))
	out, err := exec.Command(python, "testdata/parse.py", file).CombinedOutput()
	require.NoError(t, err, string(out))
	t.Log(strings.TrimSpace(string(out)))
}

// The usual queries of resolvers must not take the long way, and no memory.
func TestFastTakesTheUsualQueries(t *testing.T) {
	from, dst := newTable(t, weights(7500, 2500)), make([]byte, 0, maxUDP)
	f := func(m *dns.Msg) {
		t.Helper()
		packet, err := m.Pack()
		require.NoError(t, err)
		_, ok := from.fast(dst, packet)
		require.True(t, ok)
		require.Zero(t, testing.AllocsPerRun(100, func() { from.fast(dst, packet) }))
	}
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}
	f(query("api.gslb.example.com", dns.TypeA))
	f(query("six.gslb.example.com", dns.TypeA))
	f(query("a.gslb.example.com", dns.TypeAAAA))
	f(query(zoneName, dns.TypeSOA))
	f(withOPT(query(zoneName, dns.TypeNS), 1232, false))
	f(withOPT(query("ns1.gslb.example.com", dns.TypeAAAA), 4096, true))
	f(withOPT(query("DEEP.in.a.gslb.example.com", dns.TypeA), 1232, true, cookie))
	f(withOPT(query("big.gslb.example.com", dns.TypeA), 1232, false))
}
