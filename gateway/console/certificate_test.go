package console

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs client certificates.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{key, certificate}
}

func (a authority) sign(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber, template.NotAfter = big.NewInt(2), time.Now().Add(time.Hour)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestChangesByClientCertificate(t *testing.T) {
	c, telemetry, _ := changing(t)
	c.cfg.Certificates = []Certificate{{"spiffe://example.com/oncall", "operator"}, {"chief", "admin"}, {"reader", "viewer"}}
	ours := newAuthority(t)
	server := httptest.NewUnstartedServer(c.guard(true))
	pool := x509.NewCertPool()
	pool.AddCert(ours.certificate)
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	server.StartTLS()
	defer server.Close()
	f := func(wantCode int, want, wantReason string, client *x509.Certificate) {
		t.Helper()
		transport := server.Client().Transport.(*http.Transport).Clone()
		defer transport.CloseIdleConnections()
		if client != nil {
			transport.TLSClientConfig.Certificates = []tls.Certificate{ours.sign(t, client)}
		}
		before := refusals(t, telemetry)
		response, err := (&http.Client{Transport: transport}).Post(server.URL+"/change", "", nil)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, wantCode, response.StatusCode)
		require.Contains(t, string(body), want)
		if wantReason != "" {
			before[wantReason]++
		}
		require.Equal(t, before, refusals(t, telemetry))
	}
	uri, err := url.Parse("spiffe://example.com/oncall")
	require.NoError(t, err)
	f(200, "done by spiffe://example.com/oncall", "", &x509.Certificate{URIs: []*url.URL{uri}})
	f(200, "done by chief", "", &x509.Certificate{DNSNames: []string{"other", "chief"}})
	f(200, "done by chief", "", &x509.Certificate{Subject: pkix.Name{CommonName: "chief"}})
	f(403, "has the role viewer", "role", &x509.Certificate{DNSNames: []string{"reader"}})
	f(403, "no name of the client certificate", "certificate_unknown", &x509.Certificate{DNSNames: []string{"stranger"}})
	// The common name of a certificate that has other names was not checked by whoever signed it.
	f(403, "no name of the client certificate", "certificate_unknown", &x509.Certificate{DNSNames: []string{"stranger"}, Subject: pkix.Name{CommonName: "chief"}})
	f(401, "Authorization: Bearer", "token_missing", nil)

	// A certificate of somebody else's authority does not get that far.
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{newAuthority(t).sign(t, &x509.Certificate{DNSNames: []string{"chief"}})}
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &transport.TLSClientConfig.Certificates[0], nil
	}
	_, err = (&http.Client{Transport: transport}).Post(server.URL+"/change", "", nil)
	require.Error(t, err)
}
