package main

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A console that wants client certificates is asked with one.
func TestClientCertificate(t *testing.T) {
	file := certificate(t)
	own, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"plugins":[]}`)) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		code, out, stderr := call(t, append([]string{"plugin", "list", "--url", server.URL, "-o", "json"}, args...)...)
		if code != wantCode || !strings.Contains(out+stderr, want) {
			t.Errorf("%q ends with %d: %s%s", args, code, out, stderr)
		}
	}
	f(0, "plugins", "--ca-file", file, "--cert-file", file, "--key-file", file)
	f(1, "certificate required", "--ca-file", file)
	f(1, "unknown authority")
	f(2, "--cert-file", "--cert-file", "missing.pem", "--key-file", file)
}
