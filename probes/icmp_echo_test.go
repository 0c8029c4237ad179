package probes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEcho(t *testing.T) {
	e := echo{seq: 515, index: 9_999, nonce: 1<<63 | 5}
	for _, v6 := range []bool{false, true} {
		for _, size := range []int{echoData, 13, 56, maxEchoData} {
			packet := make([]byte, echoHead+size)
			e.put(packet, v6, 4711)
			if !v6 {
				require.Zero(t, checksum(packet), "of a packet with its checksum")
			}
			quoted, whole, ok := parseQuoted(packet, v6)
			require.True(t, ok && whole)
			require.Equal(t, e, quoted)
			quoted, whole, ok = parseQuoted(packet[:echoHead], v6)
			require.True(t, ok)
			require.False(t, whole)
			require.Equal(t, echo{seq: 515}, quoted)

			_, ok = parseReply(packet, v6, false)
			require.False(t, ok, "a request is no reply")
			packet[0] = echoReply4
			if v6 {
				packet[0] = echoReply6
			}
			reply, ok := parseReply(packet, v6, false)
			require.True(t, ok)
			require.Equal(t, e, reply)
			_, ok = parseReply(packet[:echoHead+echoData-1], v6, false)
			require.False(t, ok, "too short")
		}
	}
	head := []byte{0x46, 23: 0} // with options
	packet := append(head, make([]byte, echoHead+echoData)...)
	e.put(packet[24:], false, 1)
	packet[24] = echoReply4
	reply, ok := parseReply(packet, false, true)
	require.True(t, ok)
	require.Equal(t, e, reply)
}

// RFC 1071's own example, and an odd length.
func TestChecksum(t *testing.T) {
	require.EqualValues(t, 0xffff-0xddf2, checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}))
	require.EqualValues(t, 0xffff-0x0402, checksum([]byte{0x01, 0x02, 0x03}))
}

func TestUnreached(t *testing.T) {
	require.Equal(t, "host unreachable", unreached(3, 1, false))
	require.Equal(t, "prohibited by a filter", unreached(3, 13, false))
	require.Equal(t, "unreachable (code 8)", unreached(3, 8, false))
	require.Equal(t, "unreachable (code 99)", unreached(3, 99, false))
	require.Empty(t, unreached(3, 4, false), "fragmentation needed")
	require.Empty(t, unreached(4, 0, false), "source quench")
	require.Equal(t, "time to live exceeded on the way", unreached(11, 0, false))
	require.Equal(t, "no route", unreached(1, 0, true))
	require.Equal(t, "port unreachable", unreached(1, 4, true))
	require.Equal(t, "time to live exceeded on the way", unreached(3, 0, true))
	require.Empty(t, unreached(2, 0, true), "packet too big")
}

func TestCheckICMP(t *testing.T) {
	f := func(target, address, problem string) {
		t.Helper()
		err := checkICMP(&Target{Target: target, Address: address})
		if problem == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, problem)
	}
	f("127.1.0.11", "", "")
	f("fe80::1%eth0", "", "")
	f("router", "10.0.0.1", "")
	f("router.example.com", "", "resolves no names")
	f("router", "10.0.0.1:80", "without a port")
	f("0.0.0.0", "", "not the address of one machine")
	f("ff02::1", "", "not the address of one machine")
}

func FuzzEcho(f *testing.F) {
	request := make([]byte, echoHead+56)
	echo{seq: 1, index: 2, nonce: 3}.put(request, false, 4)
	reply := append([]byte{0x45, 19: 0}, request...)
	reply[20] = echoReply4
	for _, seed := range [][]byte{nil, {0x4f}, {0x45, 0}, request, reply, request[:8], reply[:30]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, v6 := range []bool{false, true} {
			_, _, _ = parseQuoted(packet, v6)
			for _, header := range []bool{false, true} {
				if e, ok := parseReply(packet, v6, header); ok && !header {
					again := make([]byte, len(packet))
					e.put(again, v6, 0)
					require.Equal(t, packet[6:echoHead+echoData], again[6:echoHead+echoData])
				}
			}
		}
	})
}
