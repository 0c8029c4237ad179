package plugins

import (
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
	"testing"
	"time"
)

// authority is a certificate authority that has signed a server's certificate and a client's.
type authority struct {
	ca, serverCert, serverKey, clientCert, clientKey string // names of PEM files
	client                                           *tls.Config
}

// flags are those of a server that takes calls from the client alone.
func (a authority) flags() []string {
	return []string{"--tls-cert", a.serverCert, "--tls-key", a.serverKey, "--client-ca", a.ca}
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, rootKey := sign(t, root, root, nil)
	server := &x509.Certificate{Subject: pkix.Name{CommonName: "plugin"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	serverDER, serverKey := sign(t, server, root, rootKey)
	client := &x509.Certificate{Subject: pkix.Name{CommonName: "gateway"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	clientDER, clientKey := sign(t, client, root, rootKey)
	roots := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	directory := t.TempDir()
	return authority{
		ca:         write(t, directory, "ca.pem", "CERTIFICATE", rootDER),
		serverCert: write(t, directory, "server.pem", "CERTIFICATE", serverDER),
		serverKey:  write(t, directory, "server.key", "PRIVATE KEY", encodeKey(t, serverKey)),
		clientCert: write(t, directory, "client.pem", "CERTIFICATE", clientDER),
		clientKey:  write(t, directory, "client.key", "PRIVATE KEY", encodeKey(t, clientKey)),
		client: &tls.Config{
			RootCAs: roots, Certificates: []tls.Certificate{{Certificate: [][]byte{clientDER}, PrivateKey: clientKey}}, MinVersion: tls.VersionTLS12,
		},
	}
}

// sign makes a certificate with a key of its own. Without the signer's key it signs itself.
func sign(t *testing.T, template, signer *x509.Certificate, signerKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signerKey == nil {
		signerKey = key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func encodeKey(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func write(t *testing.T, directory, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
