package pluginhost

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// wire is a network between a gateway and a server that can go dead without a word.
type wire struct {
	address string

	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{address: listener.Addr().String()}
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, near, far)
			w.mu.Unlock()
			copying.Go(func() { w.copy(near, far) })
			copying.Go(func() { w.copy(far, near) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		for _, conn := range w.conns {
			_ = conn.Close()
		}
		w.mu.Unlock()
		copying.Wait()
	})
	return w
}

// copy swallows what comes while the network is dead, and whatever comes after it on the same connection.
func (w *wire) copy(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	lost := false
	for {
		n, err := from.Read(buffer)
		if err != nil {
			_ = to.Close()
			return
		}
		w.mu.Lock()
		lost = lost || w.dead
		w.mu.Unlock()
		if !lost {
			_, _ = to.Write(buffer[:n])
		}
	}
}

// cut makes the network dead.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
}

// mend lets new connections through. Those from before stay dead, as behind a router that has forgotten them.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = false
}

// silent is the address of a listener that accepts and never answers.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reading.Go(func() {
				_, _ = io.Copy(io.Discard, conn) // until the other side closes it
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		reading.Wait()
	})
	return listener.Addr().String()
}
