package pluginhost

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// server is a notification plugin at an address.
type server struct {
	t       *testing.T
	address string

	opened   atomic.Int64
	stopped  atomic.Int64
	notified atomic.Int64
	deadline atomic.Int64  // that the last notification had left
	hang     chan struct{} // that notifications wait for; nil: they do not

	grpc   *grpc.Server
	served chan struct{} // closed when grpc has ended
}

// newServer serves, without TLS if config is nil, at a port that it has for itself.
func newServer(t *testing.T, config *tls.Config) *server {
	t.Helper()
	s := &server{t: t, address: "127.0.0.1:0"}
	s.serve(config)
	t.Cleanup(func() { s.end() })
	return s
}

// serve begins with a plugin that is not configured, at the address of the last time.
func (s *server) serve(config *tls.Config) {
	s.t.Helper()
	s.serveOther(config, func(r grpc.ServiceRegistrar) { sdk.RegisterNotification(r, s.open) })
}

// serveOther begins with something else.
func (s *server) serveOther(config *tls.Config, register func(grpc.ServiceRegistrar)) {
	s.t.Helper()
	options := sdk.ServerOptions()
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	listener, err := net.Listen("tcp", s.address)
	require.NoError(s.t, err)
	s.address, s.grpc, s.served = listener.Addr().String(), grpc.NewServer(options...), make(chan struct{})
	register(s.grpc)
	go func(server *grpc.Server, served chan struct{}) {
		defer close(served)
		_ = server.Serve(listener)
	}(s.grpc, s.served)
}

// end closes the port and all connections.
func (s *server) end() {
	s.grpc.Stop()
	<-s.served
}

func (s *server) open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	var settings struct {
		Token string `yaml:"token"`
	}
	if err := c.Decode(&settings); err != nil {
		return nil, err
	}
	s.opened.Add(1)
	return &sdk.Notification{
		Notify: func(ctx context.Context, _ *sdk.Group) error {
			if deadline, ok := ctx.Deadline(); ok {
				s.deadline.Store(int64(time.Until(deadline)))
			}
			s.notified.Add(1)
			if s.hang != nil {
				select {
				case <-s.hang:
				case <-ctx.Done():
				}
			}
			return nil
		},
		Stop: func(context.Context) error { s.stopped.Add(1); return nil },
	}, nil
}

func (s *server) config() string {
	return `processes: {acme: {kind: notification, address: "` + s.address + `", tls: {insecure: true}}}`
}

// amnesiac is a plugin that forgets.
type amnesiac struct {
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedNotificationServer
	configured atomic.Bool
	refuse     atomic.Bool
}

func (a *amnesiac) known() error {
	if !a.configured.Load() {
		return status.Error(codes.FailedPrecondition, "who are you?")
	}
	return nil
}

func (a *amnesiac) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	a.configured.Store(true)
	return new(pluginv1.ConfigureResponse), nil
}

func (a *amnesiac) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	return &pluginv1.InfoResponse{Kind: "notification"}, a.known()
}

func (a *amnesiac) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return new(pluginv1.HealthResponse), a.known()
}

func (a *amnesiac) Notify(context.Context, *pluginv1.NotifyRequest) (*pluginv1.NotifyResponse, error) {
	if a.refuse.Load() {
		return nil, status.Error(codes.FailedPrecondition, "not on a Sunday")
	}
	return new(pluginv1.NotifyResponse), a.known()
}

// notify calls the plugin acme.
func (f *fixture) notify() error {
	f.t.Helper()
	conn, err := f.Conn("acme")
	require.NoError(f.t, err)
	_, err = pluginv1.NewNotificationClient(conn).Notify(context.Background(), &pluginv1.NotifyRequest{Group: []byte("{}")})
	return err
}

// isDown waits until the gateway has noticed that the only plugin is away.
func (f *fixture) isDown() {
	f.t.Helper()
	f.until(20*time.Second, "down", func() bool { return !f.list()[0].Healthy })
}

// isBack waits until the plugin acme can be called. That should take two seconds, and may take ten on a machine that has
// other things to do.
func (f *fixture) isBack(since time.Time) {
	f.t.Helper()
	f.until(10*time.Second, "back", func() bool { return f.notify() == nil })
	f.t.Logf("back after %s", time.Since(since))
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a.cert = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, &a.key.PublicKey, nil)
	return a
}

func (a *authority) sign(template *x509.Certificate, key *ecdsa.PublicKey, parent *x509.Certificate) *x509.Certificate {
	a.t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore = time.Now().Add(-2 * time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	if parent == nil {
		parent = template
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	require.NoError(a.t, err)
	cert, err := x509.ParseCertificate(raw)
	require.NoError(a.t, err)
	return cert
}

// serve is the configuration of a server with a certificate for localhost that ends then.
func (a *authority) serve(end time.Time) *tls.Config {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	cert := a.sign(&x509.Certificate{DNSNames: []string{"localhost"}, NotAfter: end}, &key.PublicKey, a.cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

// file is the authority's own certificate.
func (a *authority) file() string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "ca.pem")
	a.write(path)
	return path
}

func (a *authority) write(path string) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600))
}

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
