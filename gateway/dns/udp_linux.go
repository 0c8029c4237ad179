package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize = 32 // packets of one recvmmsg: more save nothing that can be measured

	// Strides of the buffers are odd multiples of a cache line, so that the beginnings of a batch's packets do not share a few cache sets.
	querySpace  = 1472 + 64
	answerSpace = maxUDP + 48

	maxSockets = 8 // of an endpoint: more than a million queries a second

	receiveBuffer = 4 << 20 // the kernel's default holds about 256 small packets

	controlSpace = 40 // a cmsghdr and an in6_pktinfo, aligned
)

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// udpSocket is one of the sockets that share a port: the kernel spreads clients over them. Its own goroutine waits in recvmmsg, not in the
// netpoller, whose wake-ups cost more than the answers.
type udpSocket struct {
	fd      int
	address netip.AddrPort
	any     bool // bound to a wildcard: packets tell which address was asked
	closed  atomic.Bool
	worker  atomic.Pointer[worker] // who answers

	in, out   [batchSize]message
	inV, outV [batchSize]unix.Iovec
	from      [batchSize]unix.RawSockaddrInet6 // of either family
	control   [batchSize][controlSpace]byte
	query     [batchSize][querySpace]byte
	answer    [batchSize][answerSpace]byte
}

// udpSockets is how many sockets an endpoint has: one processor less than there are. If a socket waited on each, none would be idle, and Go's
// scheduler would take them back and wake a thread to look for work all the time: a query costs 4.1 µs then, and 2.6 µs so (two processors, 20 clients).
func udpSockets() int { return min(max(1, runtime.GOMAXPROCS(0)-1), maxSockets) }

// openUDP binds a socket to an address that others like it may be bound to.
func openUDP(ctx context.Context, address netip.AddrPort) (*udpSocket, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = prepareUDP(int(fd), address.Addr()) }), err)
	}}
	conn, err := config.ListenPacket(ctx, "udp", address.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	file, err := conn.(*net.UDPConn).File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	if err := unix.SetNonblock(fd, false); err != nil { // of the open socket: of all its descriptors
		return nil, errors.Join(err, unix.Close(fd))
	}
	s := &udpSocket{fd: fd, address: conn.LocalAddr().(*net.UDPAddr).AddrPort(), any: address.Addr().IsUnspecified()}
	s.arm()
	return s, nil
}

func prepareUDP(fd int, address netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil { // without CAP_NET_ADMIN: up to net.core.rmem_max
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	switch {
	case !address.IsUnspecified():
		return nil
	case address.Is4():
		return os.NewSyscallError("IP_PKTINFO", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
	}
	return os.NewSyscallError("IPV6_RECVPKTINFO", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1))
}

// arm points the kernel to the buffers.
func (s *udpSocket) arm() {
	for i := range batchSize {
		s.inV[i].Base = &s.query[i][0]
		s.inV[i].SetLen(querySpace)
		s.in[i].header = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.from[i])), Iov: &s.inV[i]}
		s.in[i].header.SetIovlen(1)
		s.out[i].header.Iov = &s.outV[i]
		s.out[i].header.SetIovlen(1)
		s.rearm(i)
	}
}

// rearm undoes what the kernel wrote into the header of a packet.
func (s *udpSocket) rearm(i int) {
	header := &s.in[i].header
	header.Namelen = uint32(unsafe.Sizeof(s.from[i]))
	if s.any {
		header.Control = &s.control[i][0]
		header.SetControllen(controlSpace)
	}
}

// serve answers until the socket is closed.
func (s *udpSocket) serve() {
	defer unix.Close(s.fd)
	for {
		n, err := s.receive()
		if s.closed.Load() {
			return
		}
		w := s.worker.Load()
		if err != 0 {
			if err != unix.EINTR && err != unix.EAGAIN {
				w.drop(dropReceive)
			}
			continue
		}
		s.send(w, s.answerAll(w, n))
	}
}

// answerAll answers n packets, and returns how many answers there are to send.
func (s *udpSocket) answerAll(w *worker, n int) (answers int) {
	t := w.table.Load()
	for i := range n {
		in := &s.in[i]
		if in.header.Flags&unix.MSG_TRUNC != 0 {
			w.drop(dropOversized)
			s.rearm(i)
			continue
		}
		answer := w.answer(t, s.answer[answers][:0:maxUDP], s.query[i][:in.length])
		if answer != nil && w.limiter.limits(answer, int(in.length)) {
			answer = w.limit(answer, addressOf(&s.from[i]), int(in.length))
		}
		if answer != nil {
			out := &s.out[answers].header
			s.outV[answers].Base = &answer[0]
			s.outV[answers].SetLen(len(answer))
			out.Name, out.Namelen = in.header.Name, in.header.Namelen
			if s.any {
				out.Control, out.Controllen = in.header.Control, in.header.Controllen
				forgetInterface(s.control[i][:])
			}
			answers++
		}
		s.rearm(i)
	}
	return answers
}

// receive waits for a packet, and takes those that are there with it.
func (s *udpSocket) receive() (int, unix.Errno) {
	n, _, err := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.in)), batchSize, unix.MSG_WAITFORONE, 0, 0)
	return int(n), err
}

// send sends the first n answers. What the kernel does not take is lost, as it could be on the way.
func (s *udpSocket) send(w *worker, n int) {
	for sent := 0; sent < n; {
		k, _, err := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.out[sent])), uintptr(n-sent), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case err == 0:
			sent += int(k)
		case err != unix.EINTR:
			w.drop(dropSend)
			sent++
		}
	}
}

// close ends serve. A socket that does not serve is closed by serving it.
func (s *udpSocket) close() {
	s.closed.Store(true)
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // ENOTCONN, and yet it wakes who waits
}

// buffer is how many bytes of packets the kernel keeps for the socket.
func (s *udpSocket) buffer() int {
	n, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return n / 2 // it counts its own expenses as much again
}

// overflow is how many packets found the receive buffer full.
func (s *udpSocket) overflow() uint64 {
	var info [9]uint32 // the last of them is SK_MEMINFO_DROPS
	size := uint32(unsafe.Sizeof(info))
	_, _, err := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if err != 0 {
		return 0
	}
	return uint64(info[8])
}

// forgetInterface leaves of a received IP_PKTINFO or IPV6_PKTINFO the address that was asked, which the answer comes from; the way out is the
// routing's business, but for link-local addresses.
func forgetInterface(control []byte) {
	header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	data := control[unix.SizeofCmsghdr:]
	switch {
	case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO:
		(*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Ifindex = 0
	case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO:
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
		if !netip.AddrFrom16(info.Addr).IsLinkLocalUnicast() {
			info.Ifindex = 0
		}
	}
}

func addressOf(from *unix.RawSockaddrInet6) netip.Addr {
	if from.Family == unix.AF_INET {
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(from)).Addr)
	}
	return netip.AddrFrom16(from.Addr).Unmap()
}
