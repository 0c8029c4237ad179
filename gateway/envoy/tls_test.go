package envoy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// certificate makes a certificate for 127.0.0.1 that signs itself, and its key.
func certificate(t *testing.T) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func TestTLS(t *testing.T) {
	certPEM, keyPEM := certificate(t)
	sink := new(consumertest.MetricsSink)
	r, _ := start(t, sink, func(c *Config) {
		c.TLS = configoptional.Some(configtls.ServerConfig{Config: configtls.Config{
			CertPem: configopaque.String(certPEM), KeyPem: configopaque.String(keyPEM),
		}})
	})
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certPEM))
	conn, err := grpc.NewClient(r.config.NetAddr.Endpoint, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "")))
	require.NoError(t, err)
	defer conn.Close()
	messages := recorded(t)
	require.NoError(t, send(t, accesslogv3.NewAccessLogServiceClient(conn), messages))
	require.NoError(t, r.Shutdown(t.Context()))
	want := 0
	for _, m := range messages {
		want += len(m.GetHttpLogs().GetLogEntry())
	}
	all := r.aggregator.Totals().All
	require.EqualValues(t, want, all.Counted+all.Intermediate)
	require.NotEmpty(t, counted(sink))
}

// Buffers come back as long as they were asked for, and only whole ones are kept.
func TestBuffers(t *testing.T) {
	var pool buffers
	f := func(size, wantCapacity int) {
		t.Helper()
		for range 3 {
			b := pool.Get(size)
			require.Len(t, *b, size)
			require.Equal(t, wantCapacity, cap(*b))
			pool.Put(b)
		}
	}
	f(0, 1<<10)
	f(1<<10, 1<<10)
	f(16<<10, 16<<10)
	f(17000, 32<<10)
	f(79000, 128<<10)
	f(128<<10+1, 128<<10+1) // of its own
	odd := make([]byte, 1000)
	pool.Put(&odd)
	f(1000, 1<<10)
}
