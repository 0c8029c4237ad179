package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	maxPacket     = 1400
	checksumSize  = 5               // which memberlist adds to some packets
	handshakeTime = 5 * time.Second // within which a stream's first record must come
	maxHandshakes = 64              // streams that have not shown a key yet
	receiveBuffer = 2 << 20
)

// transport carries memberlist's packets by UDP and its streams by TCP, sealed, at one port.
type transport struct {
	sealer    *sealer
	refuse    func(reason error)
	blocked   func(to netip.AddrPort) bool // for tests that cut a network
	advertise netip.AddrPort

	udp     *net.UDPConn
	tcp     *net.TCPListener
	packets chan *memberlist.Packet
	streams chan net.Conn
	waiting chan struct{} // a place for each stream that has not shown a key yet

	received, sent atomic.Int64 // bytes

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]struct{}
}

// listen binds an address by UDP and TCP. A zero advertise is the address itself.
func listen(at, advertise netip.AddrPort, sealer *sealer, refuse func(error)) (*transport, error) {
	t := &transport{
		sealer: sealer, refuse: refuse, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		waiting: make(chan struct{}, maxHandshakes), open: map[net.Conn]struct{}{},
	}
	if err := t.bind(at); err != nil {
		return nil, err
	}
	_ = t.udp.SetReadBuffer(receiveBuffer) // as much as the kernel gives
	t.advertise = advertise
	if !advertise.IsValid() {
		t.advertise = unmap(t.udp.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.running.Add(2)
	go t.readPackets()
	go t.accept()
	return t, nil
}

// bind looks for a port that is free for both where any will do.
func (t *transport) bind(at netip.AddrPort) (err error) {
	for range 20 {
		if t.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)); err != nil {
			return err
		}
		port := uint16(t.tcp.Addr().(*net.TCPAddr).Port)
		t.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at.Addr(), port)))
		if err == nil {
			return nil
		}
		err = errors.Join(err, t.tcp.Close())
		if at.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return err
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.advertise.Addr().AsSlice(), int(t.advertise.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	if t.blocked != nil && t.blocked(to) {
		return now, nil
	}
	n, err := t.udp.WriteToUDPAddrPort(t.sealer.sealPacket(b, now), unmap(to))
	t.sent.Add(int64(n))
	return time.Now(), err
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

func (t *transport) readPackets() {
	defer t.running.Done()
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buffer)
		if t.ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // such as an ICMP error for what was sent to one that is away
		}
		t.received.Add(int64(n))
		now := time.Now()
		payload, err := t.sealer.openPacket(buffer[:n], now)
		if err == nil && len(payload) == 0 {
			err = errGarbage
		}
		if err != nil {
			t.refuse(err)
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: payload, From: net.UDPAddrFromAddrPort(unmap(from)), Timestamp: now}:
		case <-t.ctx.Done():
			return
		}
	}
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	if to, err := netip.ParseAddrPort(addr); err == nil && t.blocked != nil && t.blocked(to) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return dialStream(t.track(conn), t.sealer, t.refuse)
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

func (t *transport) accept() {
	defer t.running.Done()
	for {
		conn, err := t.tcp.Accept()
		if t.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil { // no more file descriptors
			select {
			case <-time.After(100 * time.Millisecond):
			case <-t.ctx.Done():
			}
			continue
		}
		select {
		case t.waiting <- struct{}{}:
			t.running.Add(1)
			go t.handshake(t.track(conn))
		default:
			_ = conn.Close()
			t.refuse(errBusy)
		}
	}
}

var errBusy = fmt.Errorf("more than %d streams wait to show a key", maxHandshakes)

// handshake hands a stream to memberlist once it has shown a key.
func (t *transport) handshake(conn net.Conn) {
	defer t.running.Done()
	defer func() { <-t.waiting }()
	_ = conn.SetDeadline(time.Now().Add(handshakeTime))
	s, err := acceptStream(conn, t.sealer, t.refuse, time.Now)
	if err != nil {
		_ = conn.Close()
		if t.ctx.Err() == nil {
			t.refuse(err)
		}
		return
	}
	select {
	case t.streams <- s:
	case <-t.ctx.Done():
		_ = conn.Close()
	}
}

// Shutdown implements memberlist.Transport. It closes what is open, too.
func (t *transport) Shutdown() error {
	if t.ctx.Err() != nil {
		return nil
	}
	t.cancel()
	err := errors.Join(t.tcp.Close(), t.udp.Close())
	t.mu.Lock()
	for conn := range t.open {
		_ = conn.(*tracked).Conn.Close()
	}
	t.mu.Unlock()
	t.running.Wait()
	return err
}

// tracked is a connection whose bytes are counted, and that ends with the transport.
type tracked struct {
	net.Conn
	transport *transport
}

func (t *transport) track(conn net.Conn) net.Conn {
	c := &tracked{Conn: conn, transport: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[c] = struct{}{}
	if t.ctx.Err() != nil {
		_ = conn.Close()
	}
	return c
}

func (c *tracked) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.transport.received.Add(int64(n))
	return n, err
}

func (c *tracked) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.transport.sent.Add(int64(n))
	return n, err
}

func (c *tracked) Close() error {
	c.transport.mu.Lock()
	delete(c.transport.open, c)
	c.transport.mu.Unlock()
	return c.Conn.Close()
}
