package pluginhost

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

func TestServerAtAnAddress(t *testing.T) {
	ca := newAuthority(t)
	s := newServer(t, ca.serve(time.Time{}))
	address := strings.Replace(s.address, "127.0.0.1", "localhost", 1)
	cfg := `processes: {acme: {kind: notification, address: "` + address + `", tls: {ca_file: ` + ca.file() + `}, config: {token: TOKEN}}}`
	f := newFixture(t, strings.Replace(cfg, "TOKEN", "hunter2", 1)).start()

	acme := f.list()[0]
	require.Equal(t, "running", acme.State)
	require.True(t, acme.Healthy)
	require.Equal(t, address, acme.Address)
	require.Empty(t, acme.Binary)
	require.Zero(t, acme.PID)
	require.EqualValues(t, 1, acme.Protocol)
	require.Equal(t, http.StatusOK, f.ask(http.MethodPost, "/api/v1/plugins/acme/test").Code)
	require.EqualValues(t, 1, s.notified.Load())
	calls, _ := f.metric("lockkeeper_plugin_calls_total", "code=OK,method=lockkeeper.plugin.v1.Notification/Notify,plugin=acme")
	require.EqualValues(t, 1, calls)
	up, _ := f.metric("lockkeeper_plugin_up", "kind=notification,plugin=acme")
	require.EqualValues(t, 1, up)

	// another gateway with the same configuration uses it as well
	second := newFixture(t, strings.Replace(cfg, "TOKEN", "hunter2", 1)).start()
	require.NoError(t, second.notify())
	// one with another does not
	third := newFixture(t, strings.Replace(cfg, "TOKEN", "other1", 1))
	require.EqualError(t, third.Start(t.Context(), third.console),
		"plugins: acme: configured already, with other settings: restart the plugin to change them")

	// and nobody ends it
	require.NoError(t, f.Shutdown(t.Context()))
	require.Equal(t, "stopped", f.list()[0].State)
	require.NoError(t, second.notify())
	require.EqualValues(t, 1, s.opened.Load())
	require.Zero(t, s.stopped.Load())
}

func TestServerThatIsAwayAtTheStart(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.end()
	f := newFixture(t, s.config()).start()
	f.until(10*time.Second, "a warning", func() bool {
		return f.logs.FilterMessage("still starting; the gateway goes on without it").Len() == 1
	})
	err := f.notify()
	require.Equal(t, codes.Unavailable, grpcstatus.Code(err))
	require.ErrorContains(t, err, "connection refused: nothing listens there")

	s.serve(nil)
	f.isBack(time.Now())
}

// A server that is started anew has lost its configuration, and gets it again before anything else.
func TestServerIsRestarted(t *testing.T) {
	s := newServer(t, nil)
	f := newFixture(t, s.config()).start()
	for range 3 {
		s.end()
		f.isDown()
		err := f.notify()
		require.Equal(t, codes.Unavailable, grpcstatus.Code(err), err)
		s.serve(nil)
		f.isBack(time.Now())
	}
	require.EqualValues(t, 4, s.opened.Load())
	restarts, _ := f.metric("lockkeeper_plugin_restarts_total", "plugin=acme")
	require.GreaterOrEqual(t, restarts, 3.0)
	require.EqualValues(t, restarts, f.list()[0].Restarts)
}

// No call ends as a permanent error because a server was started anew while something before it kept the connection.
func TestServerIsRestartedBehindAConnection(t *testing.T) {
	s := newServer(t, nil)
	s.end()
	behind := &amnesiac{}
	s.serveOther(nil, func(r grpc.ServiceRegistrar) {
		pluginv1.RegisterPluginServer(r, behind)
		pluginv1.RegisterNotificationServer(r, behind)
	})
	f := newFixture(t, s.config()).start()
	require.NoError(t, f.notify())
	behind.configured.Store(false)
	err := f.notify()
	require.Equal(t, codes.Unavailable, grpcstatus.Code(err))
	require.ErrorContains(t, err, "plugin acme has lost its configuration, and gets it again: who are you?")
	f.isBack(time.Now())
	require.Equal(t, "the server has lost its configuration: who are you?", f.list()[0].LastError)

	// a refusal that is about something else stays what it is
	behind.refuse.Store(true)
	require.Equal(t, codes.FailedPrecondition, grpcstatus.Code(f.notify()))
}

// A network that swallows everything is noticed within seconds, and calls under way may be tried again.
func TestDeadNetwork(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.hang = make(chan struct{})
	network := newWire(t, s.address)
	f := newFixture(t, strings.Replace(s.config(), s.address, network.address, 1)).start()
	result := make(chan error, 1)
	go func() { result <- f.notify() }()
	f.until(20*time.Second, "the call is under way", func() bool { return s.notified.Load() == 1 })
	require.InDelta(t, callDeadline, s.deadline.Load(), float64(10*time.Second), "who sets no deadline gets one")

	network.cut()
	began := time.Now()
	err := <-result
	t.Logf("noticed after %s", time.Since(began))
	require.Equal(t, codes.Unavailable, grpcstatus.Code(err), err)
	require.Less(t, time.Since(began), 20*time.Second)
	f.until(20*time.Second, "told", func() bool {
		return strings.Contains(f.list()[0].LastError, "did not answer 5 health checks in a row")
	})
	require.Equal(t, codes.Unavailable, grpcstatus.Code(f.notify()), "at once")
	// while an attempt to connect is under way that will never be answered
	f.until(20*time.Second, "connecting", func() bool { return f.list()[0].State == "starting" })

	close(s.hang)
	network.mend()
	f.isBack(time.Now())
}

// Certificates are read anew with each connection.
func TestCertificatesAreReplaced(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	s := newServer(t, first.serve(time.Time{}))
	file := first.file()
	f := newFixture(t, `processes: {acme: {kind: notification, address: "`+s.address+`", tls: {ca_file: `+file+`, server_name_override: localhost}}}`).start()
	s.end()
	f.isDown()
	second.write(file)
	s.serve(second.serve(time.Time{}))
	f.isBack(time.Now())
}

func TestConnectErrors(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	trusted := ca.file()
	later := new(laterError)
	f := func(address, tls, want string) {
		t.Helper()
		cfg, err := load(t, `processes: {acme: {kind: notification, address: "`+address+`", tls: {`+tls+`}}}`)
		require.NoError(t, err)
		_, err = newRemote("acme", cfg.Processes["acme"], []byte("{}"), nil, 30*time.Second).start(t.Context(), "", nil)
		require.ErrorContains(t, err, want)
		require.ErrorAs(t, err, later)
		require.NotContains(t, err.Error(), "desc =")
		t.Log(err)
	}
	trust := "ca_file: " + trusted
	named := trust + ", server_name_override: localhost"

	good := newServer(t, ca.serve(time.Time{}))
	// another CA, and none of this machine's
	f(good.address, "ca_file: "+newAuthority(t).file()+", server_name_override: localhost", "set tls::ca_file to the CA that has signed the server's certificate")
	f(good.address, "server_name_override: localhost", "signed by unknown authority: set tls::ca_file")
	// another name
	f(good.address, trust, "cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs: connect to a name that the certificate has")
	f(good.address, trust+", server_name_override: acme.internal", "certificate is valid for localhost, not acme.internal: connect to a name")
	// no TLS where there is some
	f(good.address, "insecure: true", "does it want TLS, or ")
	// expired
	f(newServer(t, ca.serve(time.Now().Add(-time.Hour))).address, named, "certificate has expired or is not yet valid: current time")
	// TLS where there is none
	f(newServer(t, nil).address, trust, "first record does not look like a TLS handshake: the server speaks no TLS")
	// the server wants to know who we are, and says so unless it hangs up before it is heard
	asks := ca.serve(time.Time{})
	asks.ClientAuth = tls.RequireAnyClientCert
	f(newServer(t, asks).address, named, "a certificate of the gateway")
	// nothing there
	gone := newServer(t, nil)
	gone.end()
	f(gone.address, trust, "connection refused: nothing listens there")
	// another protocol
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	f(web.Listener.Addr().String(), "insecure: true", "the server does not speak HTTP/2")
	// no word, with TLS and without
	f(silent(t), trust, "accepts connections and does not answer: nothing came within 10s")
	f(silent(t), "insecure: true", "accepts connections and does not answer: nothing came within 10s")
}

// What no waiting cures ends the start of the gateway.
func TestServerStartErrors(t *testing.T) {
	s := newServer(t, nil)
	f := func(process, want string) {
		t.Helper()
		fix := newFixture(t, `processes: {acme: {address: "`+s.address+`", `+process+`}}`)
		require.EqualError(t, fix.Start(t.Context(), fix.console), "plugins: acme: "+strings.ReplaceAll(want, "ADDRESS", s.address))
	}
	// its configuration
	f(`kind: notification, tls: {insecure: true}, config: {tokn: x}`, `config: configuration of "acme": unknown key "tokn"`)
	// another kind
	f(`kind: storage, tls: {insecure: true}`, `kind: ADDRESS says that it is a "notification" plugin, not "storage"`)
	// a file that is not there
	f(`kind: storage, tls: {ca_file: /nowhere}`,
		`tls: failed to load TLS config: failed to load CA CertPool File: failed to load cert /nowhere: open /nowhere: no such file or directory`)
	// a gRPC server of something else
	s.end()
	s.serveOther(nil, func(grpc.ServiceRegistrar) {})
	f(`kind: storage, tls: {insecure: true}`, `address: the server at ADDRESS is no plugin: unknown service lockkeeper.plugin.v1.Plugin`)
}

func TestPlainAddressIsTrustedBySystem(t *testing.T) {
	r := newRemote("acme", Process{Address: "localhost:1"}, nil, nil, time.Second)
	transport, err := r.transport(t.Context())
	require.NoError(t, err)
	require.Equal(t, "tls", transport.Info().SecurityProtocol)
}
