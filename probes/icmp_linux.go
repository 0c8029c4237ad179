package probes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	echoBatch   = 128     // packets of one system call
	echoBuffer  = 4 << 20 // bytes; what Linux gives by default holds some hundreds of replies
	packetBytes = 128     // of a reply that are read; its data may be longer
	oobBytes    = 256
)

// linuxSocket sends and receives in batches. It is a datagram socket where the kernel lets us have one, else a raw one.
type linuxSocket struct {
	batches interface {
		ReadBatch([]ipv4.Message, int) (int, error)
		WriteBatch([]ipv4.Message, int) (int, error)
	}
	fd      int
	v6, raw bool
	id      uint16 // of raw requests
	out, in []ipv4.Message
	unheard bool // the error queue may hold something
}

// openEcho opens the socket of a family. Roomy tells that the kernel granted a large buffer.
func openEcho(v6 bool) (socket echoSocket, roomy bool, err error) {
	domain, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if v6 {
		domain, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	s := &linuxSocket{v6: v6, id: uint16(rand.Uint32())}
	flags := unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	var datagram, raw error
	if s.fd, datagram = unix.Socket(domain, unix.SOCK_DGRAM|flags, protocol); datagram != nil {
		if s.fd, raw = unix.Socket(domain, unix.SOCK_RAW|flags, protocol); raw != nil {
			return nil, false, fmt.Errorf("no socket for pings: a datagram one needs the process's group in sysctl net.ipv4.ping_group_range (%w), a raw one CAP_NET_RAW (%w)", datagram, raw)
		}
		s.raw = true
	}
	if err := s.options(); err != nil {
		return nil, false, errors.Join(fmt.Errorf("socket for pings: %w", err), s.Close())
	}
	s.out, s.in = messages(maxEchoData+echoHead, 0), messages(packetBytes, oobBytes)
	granted, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return s, err == nil && granted >= echoBuffer/4, nil
}

// messages are one batch.
func messages(packet, oob int) []ipv4.Message {
	all := make([]ipv4.Message, echoBatch)
	for i := range all {
		all[i].Buffers = [][]byte{make([]byte, packet)}
		all[i].OOB = make([]byte, oob)
		all[i].Addr = &net.UDPAddr{}
	}
	return all
}

// options asks for errors and times, and for as little as can be of what is not ours: a raw socket gets a copy of every ICMP packet.
func (s *linuxSocket) options() error {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, echoBuffer) != nil { // needs CAP_NET_ADMIN
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, echoBuffer) // up to net.core.rmem_max
	}
	level, errorsOn, hopsOn := unix.IPPROTO_IP, unix.IP_RECVERR, unix.IP_RECVTTL
	if s.v6 {
		level, errorsOn, hopsOn = unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.IPV6_RECVHOPLIMIT
	}
	err := errors.Join(
		os.NewSyscallError("SO_TIMESTAMPNS", unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)),
		os.NewSyscallError("IP_RECVERR", unix.SetsockoptInt(s.fd, level, errorsOn, 1)),
		os.NewSyscallError("IP_RECVTTL", unix.SetsockoptInt(s.fd, level, hopsOn, 1)),
	)
	conn := unpolled{fd: uintptr(s.fd)}
	p4, p6 := ipv4.NewPacketConn(conn), ipv6.NewPacketConn(conn)
	s.batches = p4
	if s.v6 {
		s.batches = p6
	}
	if !s.raw {
		return err
	}
	ours, failed := bpf.Assemble(ourReplies(s.v6, s.id))
	if s.v6 {
		filter := &ipv6.ICMPFilter{}
		filter.SetAll(true)
		filter.Accept(ipv6.ICMPTypeEchoReply)
		return errors.Join(err, failed, p6.SetICMPFilter(filter), p6.SetBPF(ours))
	}
	filter := &ipv4.ICMPFilter{}
	filter.SetAll(true)
	filter.Accept(ipv4.ICMPTypeEchoReply)
	return errors.Join(err, failed, p4.SetICMPFilter(filter), p4.SetBPF(ours))
}

// ourReplies lets the replies to other programs' pings stay in the kernel. What a raw socket of IPv4 gets begins with the IP header.
func ourReplies(v6 bool, id uint16) []bpf.Instruction {
	const identifier = 4
	load := []bpf.Instruction{bpf.LoadMemShift{Off: 0}, bpf.LoadIndirect{Off: identifier, Size: 2}}
	if v6 {
		load = []bpf.Instruction{bpf.LoadAbsolute{Off: identifier, Size: 2}}
	}
	return append(load, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(id), SkipFalse: 1}, bpf.RetConstant{Val: 1 << 16}, bpf.RetConstant{Val: 0})
}

// Close closes the socket.
func (s *linuxSocket) Close() error { return unix.Close(s.fd) }

func (s *linuxSocket) send(requests []echoRequest, failed func(echoRequest, error)) {
	for len(requests) > 0 {
		n := min(len(requests), echoBatch)
		for i, r := range requests[:n] {
			m := &s.out[i]
			m.Buffers[0] = m.Buffers[0][:echoHead+r.size]
			r.put(m.Buffers[0], s.v6, s.id)
			setAddress(m.Addr.(*net.UDPAddr), r.to)
		}
		s.sendBatch(requests[:n], failed)
		requests = requests[n:]
	}
}

// sendBatch sends s.out. The kernel says of a socket with errors waiting once that it has some, whatever was sent, so a failure is
// believed the second time.
func (s *linuxSocket) sendBatch(requests []echoRequest, failed func(echoRequest, error)) {
	again := false
	for at := 0; at < len(requests); {
		n, err := s.batches.WriteBatch(s.out[at:len(requests)], unix.MSG_DONTWAIT)
		switch {
		case err == nil && n > 0:
			at, again = at+n, false
		case !again:
			again, s.unheard = true, true
		default:
			failed(requests[at], err)
			at, again = at+1, false
		}
	}
}

func (s *linuxSocket) receive(got func(echoReply)) (lost uint32) {
	for range 1024 { // so that a flood stops nothing
		n, err := s.batches.ReadBatch(s.in, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil { // the kernel says so once
			s.unheard = true
			continue
		}
		for i := range s.in[:n] {
			m := &s.in[i]
			e, ok := parseReply(m.Buffers[0][:m.N], s.v6, s.raw && !s.v6)
			reply := echoReply{echo: e}
			if ok { // else of nobody, and to be counted
				reply.from = address(m.Addr)
			}
			s.readControl(m.OOB[:m.NN], &reply, nil)
			got(reply)
		}
		if n < len(s.in) {
			break
		}
	}
	if s.unheard {
		s.unheard = false
		s.receiveErrors(got)
	}
	return s.lost()
}

// lost asks for the kernel's count of what it dropped (SK_MEMINFO_DROPS of linux/sock_diag.h).
func (s *linuxSocket) lost() uint32 {
	const drops = 8
	var counts [drops + 1]uint32
	size := uint32(unsafe.Sizeof(counts))
	if _, _, number := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&counts)), uintptr(unsafe.Pointer(&size)), 0); number != 0 {
		return 0
	}
	return counts[drops]
}

// receiveErrors hands on what the kernel knows from ICMP errors. Of a request that came back in one, the address is whom it was sent to.
func (s *linuxSocket) receiveErrors(got func(echoReply)) {
	for range 1024 {
		n, err := s.batches.ReadBatch(s.in, unix.MSG_DONTWAIT|unix.MSG_ERRQUEUE)
		if err != nil {
			return
		}
		for i := range s.in[:n] {
			m := &s.in[i]
			e, whole, ok := parseQuoted(m.Buffers[0][:m.N], s.v6)
			reply := echoReply{echo: e, from: address(m.Addr), quoted: whole}
			var extended *unix.SockExtendedErr
			s.readControl(m.OOB[:m.NN], &reply, &extended)
			if extended == nil || extended.Origin != unix.SO_EE_ORIGIN_ICMP && extended.Origin != unix.SO_EE_ORIGIN_ICMP6 {
				continue
			}
			if reply.reason = unreached(extended.Type, extended.Code, s.v6); ok && reply.reason != "" {
				got(reply)
			}
		}
	}
}

// readControl reads what the kernel says beside a packet.
func (s *linuxSocket) readControl(oob []byte, reply *echoReply, failure **unix.SockExtendedErr) {
	for len(oob) >= unix.SizeofCmsghdr {
		head, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return
		}
		oob = rest
		switch {
		case head.Level == unix.SOL_SOCKET && head.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			reply.at = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
		case (head.Level == unix.IPPROTO_IP && head.Type == unix.IP_TTL || head.Level == unix.IPPROTO_IPV6 && head.Type == unix.IPV6_HOPLIMIT) && len(data) >= 4:
			reply.hopLimit = int(binary.NativeEndian.Uint32(data))
		case (head.Level == unix.IPPROTO_IP && head.Type == unix.IP_RECVERR || head.Level == unix.IPPROTO_IPV6 && head.Type == unix.IPV6_RECVERR) &&
			failure != nil && len(data) >= int(unsafe.Sizeof(unix.SockExtendedErr{})):
			*failure = (*unix.SockExtendedErr)(unsafe.Pointer(&data[0]))
		}
	}
}

// setAddress makes no garbage.
func setAddress(a *net.UDPAddr, ip netip.Addr) {
	if a.Zone = ip.Zone(); ip.Is4() {
		four := ip.As4()
		a.IP = append(a.IP[:0], four[:]...)
		return
	}
	sixteen := ip.As16()
	a.IP = append(a.IP[:0], sixteen[:]...)
}

func address(of net.Addr) netip.Addr {
	switch a := of.(type) {
	case *net.IPAddr:
		ip, _ := netip.AddrFromSlice(a.IP)
		return ip.Unmap().WithZone(a.Zone)
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// unpolled is a socket that Go's poller does not watch: who asks for replies every few milliseconds need not be woken for each of them.
type unpolled struct {
	*net.IPConn // of which nothing is used
	fd          uintptr
}

// LocalAddr is shown in errors.
func (unpolled) LocalAddr() net.Addr { return &net.IPAddr{} }

// SyscallConn is all that batches need.
func (u unpolled) SyscallConn() (syscall.RawConn, error) { return rawFD(u.fd), nil }

type rawFD uintptr

func (fd rawFD) Control(f func(uintptr)) error    { f(uintptr(fd)); return nil }
func (fd rawFD) Read(f func(uintptr) bool) error  { f(uintptr(fd)); return nil }
func (fd rawFD) Write(f func(uintptr) bool) error { f(uintptr(fd)); return nil }
