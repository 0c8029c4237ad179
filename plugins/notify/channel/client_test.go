package channel

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAddresses(t *testing.T) {
	f := func(address, says string, allow ...string) {
		t.Helper()
		dialer, err := Dialer(allow)
		require.NoError(t, err)
		err = dialer.ControlContext(t.Context(), "tcp", address, nil)
		if says == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, says)
	}
	// Public addresses.
	f("8.8.8.8:443", "")
	f("[2606:4700::1111]:443", "")
	// Somebody's own.
	f("127.0.0.1:443", "put it into allow: [127.0.0.1/32]")
	f("[::1]:443", "put it into allow: [::1/128]")
	f("10.1.2.3:443", "is not a public address")
	f("10.1.2.3:443", "", "10.0.0.0/8")
	f("172.31.0.1:443", "is not a public address", "10.0.0.0/8")
	f("192.168.0.1:443", "", "10.0.0.0/8", "192.168.0.0/16")
	f("100.64.0.1:443", "is not a public address")
	f("[fd12::1]:443", "is not a public address")
	f("[fd12::1]:443", "", "fd12::/16")
	// Never.
	f("169.254.169.254:80", "never connected to", "127.0.0.0/8")
	f("[fe80::1%eth0]:80", "never connected to")
	f("[fd00:ec2::254]:80", "never connected to", "fd00::/8")
	f("100.100.100.200:80", "never connected to", "100.64.0.0/10")
	f("168.63.129.16:80", "never connected to")
	f("0.0.0.0:80", "never connected to")
	f("[::]:80", "never connected to")
	f("255.255.255.255:80", "never connected to")
	// The same by way of IPv6: mapped, NAT64, 6to4, compatible.
	f("[::ffff:169.254.169.254]:80", "never connected to")
	f("[::ffff:127.0.0.1]:80", "", "127.0.0.0/8")
	f("[64:ff9b::a9fe:a9fe]:80", "never connected to")
	f("[64:ff9b::7f00:1]:80", "127.0.0.1 is not a public address")
	f("[64:ff9b::808:808]:80", "")
	f("[2002:a9fe:a9fe::1]:80", "never connected to")
	f("[::a9fe:a9fe]:80", "never connected to")
	f("example.com:80", "ParseAddr")
}

func TestAllowMustMakeSense(t *testing.T) {
	for _, wrong := range []string{"10.0.0.1", "localhost", "169.254.0.0/16", "fe80::/10", "fd00:ec2::/64", "0.0.0.0/0", "::/0", ""} {
		_, err := Dialer([]string{"10.0.0.0/8", wrong})
		require.ErrorContains(t, err, "allow[1]: want a prefix such as 10.0.0.0/8", "%s", wrong)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := func(header string, want time.Duration) {
		t.Helper()
		require.Equal(t, want, pause(header, now), "%q", header)
	}
	f("", 0)
	f("0", 0)
	f("120", 2*time.Minute)
	f(" 3 ", 3*time.Second)
	f("-5", 0)
	f("1.5", 0)
	f("soon", 0)
	f("99999999999999999", time.Hour)
	f("999999999999999999999999", 0)
	f("Fri, 02 Jan 2026 03:04:35 GMT", 30*time.Second)
	f("Fri, 02 Jan 2026 03:00:00 GMT", 0)
	f("Sat, 03 Jan 2026 03:00:00 GMT", time.Hour)
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "7", "-1", "Fri, 02 Jan 2026 03:04:35 GMT", "999999999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if got := pause(header, time.Now()); got < 0 || got > longestWait {
			t.Errorf("%q: %s", header, got)
		}
	})
}

// A redirect is followed where the same request is made there, and each address on the way is looked at.
func TestRedirects(t *testing.T) {
	var code int
	var location string
	got := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/from", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, location, code) })
	mux.HandleFunc("/to", func(_ http.ResponseWriter, r *http.Request) { got <- r.Method })
	server := httptest.NewServer(mux)
	defer server.Close()
	client, err := HTTP{Allow: []string{"127.0.0.0/8"}}.Client()
	require.NoError(t, err)
	defer client.http.CloseIdleConnections()
	send := func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/from", http.NoBody)
		require.NoError(t, err)
		_, err = client.Send("key", request)
		return err
	}
	code, location = http.StatusTemporaryRedirect, "/to"
	require.NoError(t, send())
	require.Equal(t, http.MethodPost, <-got)
	code = http.StatusFound
	require.ErrorContains(t, send(), "302")
	code, location = http.StatusPermanentRedirect, "http://169.254.169.254/latest/meta-data"
	err = send()
	require.ErrorContains(t, err, "never connected to")
	require.True(t, sdk.IsPermanent(err))
	location = "/from"
	require.ErrorContains(t, send(), "308")
}

// A proxy is an address like any other; where it goes is its own affair.
func TestProxy(t *testing.T) {
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.String() }))
	defer proxy.Close()
	settings := HTTP{Config: new(config.HTTPClientConfig)}
	require.NoError(t, settings.Config.ProxyURL.UnmarshalJSON([]byte(`"`+proxy.URL+`"`)))
	send := func() error {
		client, err := settings.Client()
		require.NoError(t, err)
		defer client.http.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hooks.example.com/x", http.NoBody)
		require.NoError(t, err)
		_, err = client.Send("key", request)
		return err
	}
	require.ErrorContains(t, send(), "127.0.0.1 is not a public address")
	settings.Allow = []string{"127.0.0.0/8"}
	require.NoError(t, send())
	require.Equal(t, "http://hooks.example.com/x", <-asked)
}

// A server whose certificate is not trusted gets nothing.
func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	settings := HTTP{Allow: []string{"127.0.0.0/8"}, Config: new(config.HTTPClientConfig)}
	send := func() error {
		client, err := settings.Client()
		require.NoError(t, err)
		defer client.http.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
		require.NoError(t, err)
		_, err = client.Send("key", request)
		return err
	}
	err := send()
	require.ErrorContains(t, err, "certificate")
	require.False(t, sdk.IsPermanent(err), "certificates get renewed")
	settings.Config.TLSConfig.InsecureSkipVerify = true
	require.NoError(t, send())
}

func TestDeadline(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	client, err := HTTP{Allow: []string{"127.0.0.0/8"}}.Client()
	require.NoError(t, err)
	defer client.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, http.NoBody)
	require.NoError(t, err)
	_, err = client.Send("key", request)
	require.Error(t, err)
	require.False(t, sdk.IsPermanent(err))
}
