package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// Ports keep what was bound for the time between two instances of the extension, so that a reload leaves no query unanswered: meanwhile
// the last answers are given. The zero value is ready. It may be used concurrently.
type Ports struct {
	mu     sync.Mutex
	kept   []*port
	closed bool // nothing is kept any more
}

// take gives a port that is kept for an endpoint as it is configured; nil: there is none.
func (p *Ports) take(endpoint string) *port {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, kept := range p.kept {
		if kept.endpoint == endpoint {
			p.kept = append(p.kept[:i], p.kept[i+1:]...)
			return kept
		}
	}
	return nil
}

// give keeps a port, or closes it.
func (p *Ports) give(given *port) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.kept = append(p.kept, given)
	}
	p.mu.Unlock()
	if closed {
		given.close()
	}
}

// Release closes what is kept and nobody has taken, and tells how much that was.
func (p *Ports) Release() int {
	p.mu.Lock()
	kept := p.kept
	p.kept = nil
	p.mu.Unlock()
	for _, free := range kept {
		free.close()
	}
	return len(kept)
}

// Close is Release, and keeps nothing any more.
func (p *Ports) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Release()
}

// port is an endpoint by UDP and TCP. Nobody answers there until it was handed to somebody.
type port struct {
	endpoint string // as configured
	sockets  []*udpSocket
	listener net.Listener
	tcp      *tcpServer
	begin    func() // once: serve
	running  sync.WaitGroup
}

// openPort binds an endpoint for TCP and UDP. Port 0 becomes one that is free for both.
func openPort(ctx context.Context, endpoint string) (*port, error) {
	const tries = 10 // for port 0
	for try := 1; ; try++ {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", endpoint)
		if err != nil {
			return nil, err
		}
		address := listener.Addr().(*net.TCPAddr).AddrPort()
		sockets, err := bindUDP(ctx, netip.AddrPortFrom(address.Addr().Unmap(), address.Port()))
		if err == nil {
			p := &port{endpoint: endpoint, sockets: sockets, listener: listener, tcp: newTCPServer()}
			p.begin = sync.OnceFunc(p.serve)
			return p, nil
		}
		_ = listener.Close()
		if _, number, _ := net.SplitHostPort(endpoint); number != "0" || try == tries || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
}

func bindUDP(ctx context.Context, address netip.AddrPort) (sockets []*udpSocket, err error) {
	for range udpSockets() {
		socket, err := openUDP(ctx, address)
		if err != nil {
			for _, opened := range sockets {
				opened.close()
				opened.serve() // which closes it
			}
			return nil, err
		}
		sockets = append(sockets, socket)
	}
	return sockets, nil
}

// answerers is how many workers it takes: one for each socket, the last for TCP.
func (p *port) answerers() int { return len(p.sockets) + 1 }

// hand has these workers answer from now on.
func (p *port) hand(to []*worker) {
	for i, socket := range p.sockets {
		socket.worker.Store(to[i])
	}
	p.tcp.worker.Store(to[len(to)-1])
	p.begin()
}

func (p *port) serve() {
	for _, socket := range p.sockets {
		p.running.Go(socket.serve)
	}
	p.running.Go(func() { p.tcp.serve(p.listener) })
}

// close ends all connections, and returns when nobody answers any more.
func (p *port) close() {
	_ = p.listener.Close()
	for _, socket := range p.sockets {
		socket.close()
	}
	p.begin() // a socket is closed by who serves it
	p.running.Wait()
	p.tcp.close() // now that it takes no more connections
}
