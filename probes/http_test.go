package probes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
