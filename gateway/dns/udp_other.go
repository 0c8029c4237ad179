//go:build !linux

package dns

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
)

const receiveBuffer = 4 << 20

// udpSocket is the one socket of an endpoint.
type udpSocket struct {
	conn   *net.UDPConn
	closed atomic.Bool
	worker atomic.Pointer[worker] // who answers
}

// udpSockets is how many sockets an endpoint has.
func udpSockets() int { return 1 }

func openUDP(_ context.Context, address netip.AddrPort) (*udpSocket, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(receiveBuffer)
	return &udpSocket{conn: conn}, nil
}

// serve answers until the socket is closed.
func (s *udpSocket) serve() {
	query, room := make([]byte, maxUDP+256), make([]byte, 0, maxUDP)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(query)
		w := s.worker.Load()
		switch {
		case s.closed.Load():
			return
		case err != nil:
			w.drop(dropReceive)
			continue
		case n == len(query):
			w.drop(dropOversized)
			continue
		}
		answer := w.answer(w.table.Load(), room, query[:n])
		if answer != nil && w.limiter.limits(answer, n) {
			answer = w.limit(answer, from.Addr(), n)
		}
		if answer == nil {
			continue
		}
		if _, err := s.conn.WriteToUDPAddrPort(answer, from); err != nil {
			w.drop(dropSend)
		}
	}
}

// close ends serve.
func (s *udpSocket) close() {
	s.closed.Store(true)
	_ = s.conn.Close()
}

// buffer is not told here.
func (s *udpSocket) buffer() int { return receiveBuffer }

// overflow is not told here.
func (s *udpSocket) overflow() uint64 { return 0 }
