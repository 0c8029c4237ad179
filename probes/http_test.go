package probes

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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

// pageTimeout is long enough for a busy machine.
const pageTimeout = "timeout: 20s"

func TestHTTP(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-From", "here")
		switch r.URL.Path {
		case "/503":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		}
		name, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "%s %s host=%s body=%d auth=%s%s token=%s", r.Method, r.UserAgent(), r.Host, r.ContentLength, name, password, r.Header.Get("Authorization"))
	})
	f := func(path, settings, reason string) Result {
		t.Helper()
		r := once(t, "{prober: http, "+pageTimeout+", http: {"+settings+"}}", Target{Target: server.URL + path})
		require.NoError(t, r.Err)
		require.Equal(t, reason, r.Reason)
		require.Equal(t, reason == "", r.OK)
		return r
	}

	// the status
	r := f("/", "", "")
	require.Equal(t, []string{"connect", "processing", "transfer"}, phases(r))
	require.Equal(t, 200.0, values(r)["probe_http_status_code"])
	require.Equal(t, 1.1, values(r)["probe_http_version"])
	require.Equal(t, 4.0, values(r)["probe_ip_protocol"])
	require.NotZero(t, values(r)["probe_http_uncompressed_body_length"])
	r = f("/503", "", "status 503, want 2xx")
	require.Equal(t, 503.0, values(r)["probe_http_status_code"])
	f("/503", "valid_status_codes: [503]", "")
	f("/", "valid_status_codes: [503, 404]", "status 200, want 503 404")
	f("/", "valid_http_versions: [HTTP/1.1]", "")
	f("/", "valid_http_versions: [HTTP/2.0]", "answered by HTTP/1.1, want HTTP/2.0")
	f("/", "fail_if_not_ssl: true", "answered without TLS")

	// the request
	f("/", `fail_if_body_not_matches_regexp: ["^GET Lockkeeper "]`, "")
	f("/", `method: POST, body: abc, fail_if_body_not_matches_regexp: ["^POST .* body=3"]`, "")
	f("/", `headers: {host: www.example.com, user-agent: me}, fail_if_body_not_matches_regexp: ["^GET me host=www.example.com"]`, "")
	f("/", `basic_auth: {username: a, password: b}, fail_if_body_not_matches_regexp: ["auth=ab"]`, "")
	f("/", `bearer_token: abc, fail_if_body_not_matches_regexp: ["token=Bearer abc"]`, "")
	f("/", `authorization: {credentials: abc}, fail_if_body_not_matches_regexp: ["token=Bearer abc"]`, "")
	f("/", `authorization: {type: Key, credentials: abc}, fail_if_body_not_matches_regexp: ["token=Key abc"]`, "")

	// headers and body
	r = f("/", `fail_if_header_matches: [{header: x-from, regexp: he.e}]`, `header x-from matches "he.e"`)
	require.Equal(t, 1.0, values(r)["probe_failed_due_to_regex"])
	f("/", `fail_if_header_matches: [{header: x-to, regexp: .}]`, "header x-to is missing")
	f("/", `fail_if_header_matches: [{header: x-to, regexp: ., allow_missing: true}]`, "")
	f("/", `fail_if_header_not_matches: [{header: x-from, regexp: here}]`, "")
	f("/", `fail_if_header_not_matches: [{header: x-from, regexp: there}]`, `header x-from does not match "there"`)
	f("/", `fail_if_header_not_matches: [{header: x-to, regexp: there}]`, "header x-to is missing")
	f("/", `fail_if_body_matches_regexp: ["GET"]`, `body matches "GET"`)
	f("/", `fail_if_body_not_matches_regexp: ["nothing"]`, `body does not match "nothing"`)
	f("/", `body_size_limit: 3B, fail_if_body_not_matches_regexp: ["^GET$"]`, "")

	// redirects
	require.Equal(t, 1.0, values(f("/moved", "", ""))["probe_http_redirects"])
	f("/moved", "follow_redirects: false", "status 302, want 2xx")
	f("/moved", "no_follow_redirects: true, valid_status_codes: [302]", "")
	f("/loop", "", "more than 10 redirects")
}

// The address stands for the target's own host and port, and not for those of a redirect.
func TestHTTPAddress(t *testing.T) {
	var asked []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Host)
		if len(asked) == 1 {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}
	})
	r := once(t, "{prober: http, "+pageTimeout+"}", Target{Target: "http://api.example.com/", Address: server.Listener.Addr().String()})
	require.Equal(t, "connection refused", r.Reason)
	require.Equal(t, []string{"api.example.com"}, asked)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	r = once(t, "{prober: http, "+pageTimeout+"}", Target{Target: "api.example.com:" + port, Address: "127.0.0.1"})
	require.True(t, r.OK, r.Reason)
	require.NotContains(t, phases(r), "resolve")
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

func TestHTTPBadServers(t *testing.T) {
	f := func(timeout, reason string, handle func(net.Conn)) {
		t.Helper()
		began := time.Now()
		r := once(t, "{prober: http, timeout: "+timeout+"}", Target{Target: listen(t, handle)})
		require.Less(t, time.Since(began), 10*time.Second)
		require.NoError(t, r.Err)
		if reason == "" {
			require.True(t, r.OK, r.Reason)
			return
		}
		require.Regexp(t, reason, r.Reason)
	}
	const head = "HTTP/1.1 200 OK\r\n\r\n"

	// never answers
	f("200ms", `^no answer after .*ms \(processing\)$`, untilClosed)
	// ends without an answer
	f("20s", "connection closed before the answer was complete|connection reset", func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) })
	f("20s", "connection reset|connection closed|broken pipe", func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) })
	// no HTTP
	f("20s", "malformed HTTP", func(conn net.Conn) {
		_, _ = conn.Write([]byte("220 smtp.example.com ESMTP\r\n"))
		untilClosed(conn)
	})
	// a header without end
	f("20s", "the head of the answer is too long", func(conn net.Conn) {
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n"))
		for _, err := conn.Write([]byte("A: b\r\n")); err == nil; {
			_, err = conn.Write([]byte("X: " + strings.Repeat("x", 4096) + "\r\n"))
		}
	})
	// nothing but interim answers
	f("20s", "the head of the answer is too long", func(conn net.Conn) {
		for _, err := conn.Write([]byte("HTTP/1.1 103 Early Hints\r\n\r\n")); err == nil; {
			_, err = conn.Write([]byte("HTTP/1.1 103 Early Hints\r\n\r\n"))
		}
	})
	// a body without end does not matter
	f("20s", "", func(conn net.Conn) {
		_, err := conn.Write([]byte(head))
		for body := make([]byte, 1<<16); err == nil; {
			_, err = conn.Write(body)
		}
	})
	// one that trickles does
	f("300ms", `^no answer after .*ms \(transfer\)$`, func(conn net.Conn) {
		_, err := conn.Write([]byte(head))
		for tick := time.NewTicker(10 * time.Millisecond); err == nil; <-tick.C {
			_, err = conn.Write([]byte("x"))
		}
	})
	// a body that breaks off
	f("20s", "unexpected EOF", func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
	})
	// a TLS handshake that hangs
	r := once(t, "{prober: http, timeout: 200ms}", Target{Target: "https://" + listen(t, untilClosed)})
	require.Regexp(t, `^no answer after .*ms \(tls\)$`, r.Reason)
}

func TestHTTPTargets(t *testing.T) {
	f := func(target, want string) {
		t.Helper()
		u, err := parseURL(target)
		require.NoError(t, err)
		require.Equal(t, want, authority(u))
	}
	f("example.com", "example.com:80")
	f("example.com:81/x?y", "example.com:81")
	f("https://example.com/x", "example.com:443")
	f("https://[::1]/x", "[::1]:443")
	f("http://[::1]:81", "[::1]:81")
	for _, bad := range []string{"", "http://", "http:///x", "ftp://x", "http://a:0", "http://a:65536", "http://a:", "http://%zz", "http://a b", "http://a\x00"} {
		_, err := parseURL(bad)
		require.Error(t, err, "%q", bad)
	}
}

func TestContextEndsProbe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	m := defaultModule("http")
	m.Timeout = time.Minute
	r, err := Once(ctx, &m, Target{Target: listen(t, untilClosed)})
	require.NoError(t, err)
	require.False(t, r.OK)
	require.Less(t, r.Took, 20*time.Second)
}
