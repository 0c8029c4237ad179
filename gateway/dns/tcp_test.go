package dns

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

func (r *running) dialTCP(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.at)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

// prefixed is a query as it is sent by TCP.
func prefixed(t *testing.T, name string) []byte {
	t.Helper()
	q := question(t, name)
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
}

func readAnswer(t *testing.T, conn net.Conn) *dns.Msg {
	t.Helper()
	m, err := (&dns.Conn{Conn: conn}).ReadMsg()
	require.NoError(t, err)
	return m
}

// closes waits for the end of a connection without an answer.
func closes(t *testing.T, conn net.Conn) {
	t.Helper()
	n, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.Zero(t, n)
	require.NotErrorIs(t, err, io.ErrNoProgress)
}

func TestTCPPipelining(t *testing.T) {
	r := start(t, oneZone)
	conn := r.dialTCP(t)
	var all []byte
	for i := range 1000 {
		all = append(all, prefixed(t, fmt.Sprintf("n%d.gslb.example.com.", i))...)
	}
	for cut := 0; cut < len(all); cut += 1000 { // queries are cut anywhere
		_, err := conn.Write(all[cut:min(cut+1000, len(all))])
		require.NoError(t, err)
	}
	for i := range 1000 {
		require.Equal(t, fmt.Sprintf("n%d.gslb.example.com.", i), readAnswer(t, conn).Question[0].Name)
	}
	require.EqualValues(t, 1000, r.counter(t, "lockkeeper_dns_queries_total", "transport", "tcp"))
}

// An answer does not wait for the rest of the next query.
func TestTCPAnswersBeforeTheNextQueryIsThere(t *testing.T) {
	r := start(t, oneZone)
	conn, q := r.dialTCP(t), prefixed(t, api)
	_, err := conn.Write(append(q, q[:7]...))
	require.NoError(t, err)
	readAnswer(t, conn)
	_, err = conn.Write(q[7:])
	require.NoError(t, err)
	readAnswer(t, conn)
}

func TestTCPLengths(t *testing.T) {
	r := start(t, oneZone)
	f := func(sent ...byte) {
		t.Helper()
		conn := r.dialTCP(t)
		_, err := conn.Write(sent)
		require.NoError(t, err)
		closes(t, conn)
	}
	f(0, 0)
	f(0, 11)
	f(0x10, 0x01) // 4097
	f(0xff, 0xff)
	require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_tcp_closed_total", "reason", "malformed") == 4 }, time.Minute, time.Millisecond)
}

// A query that comes in drops has no more time than one that comes at once.
func TestTCPSlowClients(t *testing.T) {
	r := startChanged(t, oneZone, timed(func(s *tcpServer) { s.idle = 200 * time.Millisecond }))
	var clients sync.WaitGroup
	for range 20 {
		conn, q := r.dialTCP(t), prefixed(t, api)
		clients.Go(func() {
			for _, b := range append(q, q...) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Error("nobody hung up")
		})
	}
	require.Len(t, r.ask(t, "tcp", api, dns.TypeA).Answer, 1)
	require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_tcp_closed_total", "reason", "idle") == 20 }, time.Minute, time.Millisecond)
	clients.Wait()
	require.Zero(t, r.counter(t, "lockkeeper_dns_tcp_connections"))
}

// A client that takes no answers is left.
func TestTCPDeafClients(t *testing.T) {
	r := startChanged(t, oneZone, timed(func(s *tcpServer) { s.patience = 100 * time.Millisecond }))
	conn := r.dialTCP(t)
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	q := prefixed(t, api)
	for sent := 0; ; sent++ {
		if _, err := conn.Write(q); err != nil {
			t.Logf("it was left after %d queries", sent)
			break
		}
	}
	require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_tcp_closed_total", "reason", "slow") == 1 }, time.Minute, time.Millisecond)
}

func TestTCPConnectionsOfOneAddress(t *testing.T) {
	r := start(t, oneZone)
	for range maxConnectionsPerAddress {
		conn := r.dialTCP(t)
		_, err := conn.Write(prefixed(t, api))
		require.NoError(t, err)
		readAnswer(t, conn)
	}
	require.EqualValues(t, maxConnectionsPerAddress, r.counter(t, "lockkeeper_dns_tcp_connections"))
	closes(t, r.dialTCP(t))
	require.EqualValues(t, 1, r.counter(t, "lockkeeper_dns_tcp_closed_total", "reason", "refused"))
}

// When all places are taken, the one that was silent longest makes room. It takes ten places and an hour, for the sake of a busy machine.
func TestTCPMakesRoom(t *testing.T) {
	const most = 10
	r := startChanged(t, oneZone, timed(func(s *tcpServer) { s.most, s.idle = most, time.Hour }))
	conversation := func() net.Conn {
		conn := r.dialTCP(t)
		_, err := conn.Write(prefixed(t, api))
		require.NoError(t, err)
		readAnswer(t, conn)
		return conn
	}
	first := conversation()
	for range most {
		conversation()
	}
	require.NoError(t, first.SetDeadline(time.Now().Add(time.Minute)))
	closes(t, first)
	require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_tcp_closed_total", "reason", "evicted") == 1 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return r.counter(t, "lockkeeper_dns_tcp_connections") == most }, time.Minute, time.Millisecond, "it leaves after it was counted")
}
