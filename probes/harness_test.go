package probes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pageTimeout is long enough for a busy machine.
const pageTimeout = "timeout: 20s"

// once probes once, by the settings of a module in YAML.
func once(t *testing.T, module string, target Target) Result {
	t.Helper()
	m := loadText(t, "modules: {m: "+module+"}").Modules["m"]
	if target.Module == "" {
		target.Module = "m"
	}
	result, err := Once(t.Context(), &m, target)
	require.NoError(t, err)
	return result
}

// values are those of a result, by name.
func values(r Result) map[string]float64 {
	all := map[string]float64{}
	for _, v := range r.Values {
		all[v.Name] = v.Number
	}
	return all
}

func phases(r Result) (names []string) {
	for _, p := range r.Phases {
		names = append(names, p.Name)
	}
	return names
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// certificate makes one for api.example.com, signed by itself.
func certificate(t testing.TB, until time.Time) (pair tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: until.Add(-1000 * time.Hour), NotAfter: until,
		DNSNames: []string{"api.example.com"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// listen calls handle for each connection, one after the other.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handle(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// untilClosed reads what comes, and returns when the other side goes.
func untilClosed(conn net.Conn) {
	for buffer := make([]byte, 4096); ; {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

// quietLog is for servers that tell of each handshake that fails.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }
