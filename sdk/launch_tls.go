package sdk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// ClientTLS makes the gateway's side of the mutual TLS with one plugin process, and what that process has to be given
// in its environment: PLUGIN_CLIENT_CERT, the certificate that it must ask for. go-plugin adds the certificate that
// the process answers with to the configuration, as the only one to trust.
//
// It stands for go-plugin's AutoMTLS, whose client certificate has a P-521 key, for which BoringSSL has no signatures:
// no plugin on gRPC's C core (Python, C++, Ruby, PHP) could ever verify it.
func ClientTLS() (config *tls.Config, environment string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("make the client's key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "lockkeeper"},
		DNSNames:              []string{"localhost"},
		NotBefore:             now.Add(-time.Hour), // a clock may be set back
		NotAfter:              now.AddDate(30, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, "", fmt.Errorf("make the client's certificate: %w", err)
	}
	config = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      x509.NewCertPool(), // a plugin without a certificate is not trusted for one of the system's
		ServerName:   "localhost",
		MinVersion:   tls.VersionTLS12,
	}
	return config, "PLUGIN_CLIENT_CERT=" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
