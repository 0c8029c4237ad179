package probes

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func serveTLS(t testing.TB, until time.Time) (address, ca string) {
	t.Helper()
	pair, file := certificate(t, until)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = quietLog()
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), file
}

func TestHTTPS(t *testing.T) {
	until := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	address, ca := serveTLS(t, until)
	f := func(target, settings, reason string) Result {
		t.Helper()
		r := once(t, "{prober: http, "+pageTimeout+", http: {"+settings+"}}", Target{Target: target, Address: address})
		require.NoError(t, r.Err)
		if require.Contains(t, r.Reason, reason); reason == "" {
			require.Empty(t, r.Reason)
		}
		return r
	}
	trusting := "tls_config: {ca_file: " + ca + "}"

	// a certificate that soon ends is healthy: its end is a metric
	r := f("https://api.example.com", trusting, "")
	require.Equal(t, []string{"connect", "tls", "processing", "transfer"}, phases(r))
	v := values(r)
	require.Equal(t, seconds(until), v["probe_ssl_earliest_cert_expiry"])
	require.Equal(t, seconds(until), v["probe_ssl_last_chain_expiry_timestamp_seconds"])
	require.Equal(t, 1.0, v["probe_http_ssl"])
	require.Equal(t, 2.0, v["probe_http_version"])
	f("https://api.example.com", "fail_if_ssl: true, "+trusting, "answered by TLS")
	f("https://api.example.com", "enable_http2: false, valid_http_versions: [HTTP/1.1], "+trusting, "")

	// what is not trusted fails, and tells its end all the same
	r = f("https://api.example.com", "", "certificate: x509: certificate signed by unknown authority")
	require.Equal(t, seconds(until), values(r)["probe_ssl_earliest_cert_expiry"])
	f("https://other.example.com", trusting, "certificate is valid for api.example.com, not other.example.com")
	f("https://other.example.com", "tls_config: {server_name: api.example.com, ca_file: "+ca+"}", "")
	f("https://other.example.com", "tls_config: {insecure_skip_verify: true}", "")
	f("https://api.example.com", "tls_config: {max_version: TLS12, ca_file: "+ca+"}", "")

	// one that has ended fails where it is verified
	address, ca = serveTLS(t, time.Now().Add(-time.Hour))
	r = f("https://api.example.com", "tls_config: {ca_file: "+ca+"}", "certificate: x509: certificate has expired")
	require.Less(t, values(r)["probe_ssl_earliest_cert_expiry"], seconds(time.Now()))
	f("https://api.example.com", "tls_config: {insecure_skip_verify: true}", "")

	// no TLS there at all
	address = serve(t, nil).Listener.Addr().String()
	f("https://api.example.com", "", "server gave HTTP response to HTTPS client")
}

func TestCertificateFiles(t *testing.T) {
	f := func(settings TLSConfig, want string) {
		t.Helper()
		m := defaultModule("http")
		m.HTTP.TLS = settings
		_, err := Once(t.Context(), &m, Target{Target: "http://127.0.0.1"})
		require.ErrorContains(t, err, want)
	}
	f(TLSConfig{CAFile: "missing.pem"}, "tls_config: ca_file: open missing.pem")
	f(TLSConfig{CAFile: "README.md"}, "README.md has no certificate in PEM")
	f(TLSConfig{CertFile: "missing.pem", KeyFile: "missing.pem"}, "tls_config: cert_file: open missing.pem")
}
