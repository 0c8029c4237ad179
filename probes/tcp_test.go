package probes

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTCP(t *testing.T) {
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	pair, ca := certificate(t, until)
	f := func(settings, reason string, handle func(net.Conn)) Result {
		t.Helper()
		r := once(t, "{prober: tcp, "+settings+"}", Target{Target: "api.example.com:25", Address: listen(t, handle)})
		require.NoError(t, r.Err)
		require.Regexp(t, "^("+reason+")$", r.Reason)
		require.Equal(t, reason == "", r.OK)
		return r
	}
	greets := func(conn net.Conn) {
		_, _ = conn.Write([]byte("220-hello\r\n220 mail.example.com ESMTP\r\n"))
		untilClosed(conn)
	}

	// a connection is enough
	r := f(pageTimeout, "", untilClosed)
	require.Equal(t, []string{"connect"}, phases(r))
	require.Equal(t, 4.0, values(r)["probe_ip_protocol"])
	require.Zero(t, values(r)["probe_failed_due_to_regex"])

	// lines are read until one matches, and answered
	f(pageTimeout+`, tcp: {query_response: [{expect: "^220 (\\S+) ESMTP", send: "EHLO ${1}"}, {expect: "^250 mail.example.com$"}]}`, "", func(conn net.Conn) {
		_, _ = conn.Write([]byte("220-hello\r\n220 mail.example.com ESMTP\n"))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		_, _ = fmt.Fprintf(conn, "250 %s", strings.TrimPrefix(line, "EHLO "))
		untilClosed(conn)
	})
	r = f(pageTimeout+`, tcp: {query_response: [{expect: "^250"}]}`, `no line of the answer matches "\^250"`, func(conn net.Conn) {
		_, _ = conn.Write([]byte("220 hello\r\n"))
	})
	require.Equal(t, 1.0, values(r)["probe_failed_due_to_regex"])
	f(`timeout: 200ms, tcp: {query_response: [{expect: "^250"}]}`, `no answer after .* \(response\)`, greets)

	// lines and answers without end
	f(pageTimeout+`, tcp: {query_response: [{expect: "^250"}]}`, `no line of the answer matches "\^250"`, func(conn net.Conn) {
		for _, err := conn.Write(make([]byte, 4096)); err == nil; {
			_, err = conn.Write(make([]byte, 4096))
		}
	})
	f(pageTimeout+`, tcp: {query_response: [{expect: "^250"}]}`, `no line of the answer matches "\^250"`, func(conn net.Conn) {
		for _, err := conn.Write([]byte("a\n")); err == nil; {
			_, err = conn.Write([]byte(strings.Repeat("a\n", 2048)))
		}
	})

	// TLS, from the start or later
	secure := func(conn net.Conn) { untilClosed(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}})) }
	r = f(pageTimeout+", tcp: {tls: true, tls_config: {ca_file: "+ca+"}}", "", secure)
	require.Equal(t, []string{"connect", "tls"}, phases(r))
	require.Equal(t, seconds(until), values(r)["probe_ssl_earliest_cert_expiry"])
	f(pageTimeout+", tcp: {tls: true}", "certificate: x509: .*unknown authority", secure)
	f(pageTimeout+`, tcp: {query_response: [{expect: "^220 "}, {starttls: true}], tls_config: {ca_file: `+ca+"}}", "", func(conn net.Conn) {
		_, _ = conn.Write([]byte("220 go ahead\n"))
		secure(conn)
	})

	// nobody there
	r = once(t, "{prober: tcp}", Target{Target: "127.0.0.1:1"})
	require.Equal(t, "connection refused", r.Reason)
	require.NoError(t, r.Err)

	// an address of another family than the source
	r = once(t, "{prober: tcp, tcp: {source_ip_address: 192.0.2.1}}", Target{Target: "127.0.0.1:1"})
	require.Error(t, r.Err, "this machine has no such address: it says nothing of the target")
	f(pageTimeout+", tcp: {source_ip_address: 127.0.0.9}", "", func(conn net.Conn) {
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		if host != "127.0.0.9" {
			t.Errorf("comes from %s", host)
		}
	})
}

func TestHostPort(t *testing.T) {
	host, port, err := splitHostPort("[::1]:80")
	require.NoError(t, err)
	require.Equal(t, "::1", host)
	require.EqualValues(t, 80, port)
	for _, bad := range []string{"", "a", ":1", "a:", "a:b", "a:0", "a:65536", "a b:1", "a:1:2", "-a:1", "[::1]"} {
		_, _, err := splitHostPort(bad)
		require.Error(t, err, "%q", bad)
	}
}

// A name has addresses of both families; the one that is preferred is taken, or that of the other.
func TestResolve(t *testing.T) {
	a := newAttempt()
	ip, err := newDialer("ip4", false, "").resolve(t.Context(), a, "localhost")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", ip.String())
	ip, err = newDialer("ip6", true, "").resolve(t.Context(), a, "localhost")
	require.NoError(t, err)
	require.True(t, ip.IsLoopback())
	require.Equal(t, "resolve", a.phase)
}
