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
	"math/big"
	"net"
	"os"
	"path/filepath"
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
