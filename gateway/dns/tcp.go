package dns

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxConnections           = 512
	maxConnectionsPerAddress = 32
	maxTCPQuery              = 4096 // no query that is answered is longer

	tcpIdle     = 10 * time.Second // for a whole query, also one that comes in drops
	tcpPatience = 5 * time.Second  // for an answer to be taken
)

// tcpServer answers by TCP (RFC 7766): one query after the other on each connection.
type tcpServer struct {
	worker         atomic.Pointer[worker] // who answers; its limiter is not asked
	most           int                    // connections
	idle, patience time.Duration

	mu          sync.Mutex
	connections map[net.Conn]*tcpConn
	closed      bool
	running     sync.WaitGroup
}

type tcpConn struct {
	net.Conn
	from    netip.Addr
	waiting time.Time // since when it has not asked anything
	evicted bool
}

func newTCPServer() *tcpServer {
	return &tcpServer{most: maxConnections, idle: tcpIdle, patience: tcpPatience, connections: map[net.Conn]*tcpConn{}}
}

// serve takes connections until the listener is closed.
func (s *tcpServer) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no more descriptors, or a client that is gone again
			s.worker.Load().drop(dropAccept)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if c := s.admit(conn); c != nil {
			s.running.Go(func() {
				defer s.leave(c)
				end := s.converse(c)
				s.worker.Load().ended[end].Add(1)
			})
		}
	}
}

// admit takes a connection in; nil: it was refused. When all places are taken, the one that has been silent longest makes room.
func (s *tcpServer) admit(conn net.Conn) *tcpConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &tcpConn{Conn: conn, from: conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(), waiting: time.Now()}
	same := 0
	var silent *tcpConn
	for _, other := range s.connections {
		if other.from == c.from {
			same++
		}
		if !other.evicted && (silent == nil || other.waiting.Before(silent.waiting)) {
			silent = other
		}
	}
	if s.closed || same >= maxConnectionsPerAddress || len(s.connections) >= 2*s.most {
		s.worker.Load().ended[endRefused].Add(1)
		_ = conn.Close()
		return nil
	}
	if len(s.connections) >= s.most && silent != nil {
		silent.evicted = true
		_ = silent.SetDeadline(time.Unix(1, 0))
	}
	s.connections[conn] = c
	return c
}

func (s *tcpServer) leave(c *tcpConn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c.Conn)
}

// converse answers queries until there are no more, and tells why it ended.
func (s *tcpServer) converse(c *tcpConn) (end int) {
	in, out := bufio.NewReaderSize(c, 2+maxTCPQuery), bufio.NewWriter(c)
	for {
		if !s.wait(c, s.idle) {
			return endEvicted
		}
		query, err := readTCP(in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return s.endOfSilence(c)
		case errors.Is(err, errTCPLength):
			return endMalformed
		case err != nil:
			return endClient
		}
		if err := s.reply(c, out, query, !another(in)); err != nil {
			return endSlow
		}
	}
}

// wait begins the time for the next query. False: the connection was told to make room.
func (s *tcpServer) wait(c *tcpConn, idle time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.waiting = time.Now()
	return !c.evicted && c.SetReadDeadline(c.waiting.Add(idle)) == nil
}

func (s *tcpServer) endOfSilence(c *tcpConn) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.evicted {
		return endEvicted
	}
	return endIdle
}

var errTCPLength = errors.New("a length that no query has")

// readTCP reads a query. It holds until the next is read.
func readTCP(in *bufio.Reader) ([]byte, error) {
	prefix, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(prefix))
	if length < headerLength || length > maxTCPQuery {
		return nil, errTCPLength
	}
	message, err := in.Peek(2 + length)
	if err != nil {
		return nil, err
	}
	_, err = in.Discard(2 + length)
	return message[2:], err
}

// another tells whether a whole query is there already.
func another(in *bufio.Reader) bool {
	if in.Buffered() < 2 {
		return false
	}
	prefix, err := in.Peek(2)
	return err == nil && in.Buffered() >= 2+int(binary.BigEndian.Uint16(prefix))
}

// reply answers a query. Answers to queries that came together go together.
func (s *tcpServer) reply(c *tcpConn, out *bufio.Writer, query []byte, last bool) error {
	answer := s.answer(query)
	if err := c.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
		return err
	}
	if answer != nil {
		_ = out.WriteByte(byte(len(answer) >> 8))
		_ = out.WriteByte(byte(len(answer)))
		_, _ = out.Write(answer) // the first error stays
	}
	if last {
		return out.Flush()
	}
	return nil
}

func (s *tcpServer) answer(query []byte) (answer []byte) {
	w := s.worker.Load()
	defer func() {
		if recovered := recover(); recovered != nil {
			w.panics.tell(recovered, query)
			w.panicked.Add(1)
			answer = nil
		}
	}()
	if answer = w.table.Load().slow(query, false); answer == nil {
		w.drop(dropIgnored)
		return nil
	}
	w.count(answer)
	return answer
}

// close ends all connections, and waits for the last.
func (s *tcpServer) close() {
	s.mu.Lock()
	s.closed = true
	for conn := range s.connections {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

func (s *tcpServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}
