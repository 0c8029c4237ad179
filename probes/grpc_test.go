package probes

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// serveGRPC serves the health of two services; without register, nothing.
func serveGRPC(t *testing.T, register bool, options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	if register {
		states := health.NewServer()
		states.SetServingStatus("sick", healthv1.HealthCheckResponse_NOT_SERVING)
		healthv1.RegisterHealthServer(server, states)
	}
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func TestGRPC(t *testing.T) {
	address := serveGRPC(t, true)
	f := func(settings, reason string) Result {
		t.Helper()
		r := once(t, "{prober: grpc, "+settings+"}", Target{Target: "api.example.com:9000", Address: address})
		require.NoError(t, r.Err)
		require.Regexp(t, "^("+reason+")$", r.Reason)
		require.Equal(t, reason == "", r.OK)
		return r
	}
	r := f(pageTimeout, "")
	require.Equal(t, []string{"connect", "check"}, phases(r))
	require.Contains(t, r.Values, Value{Name: "probe_grpc_healthcheck_response", Label: "serving_status", Is: "SERVING", Number: 1})
	require.Contains(t, r.Values, Value{Name: "probe_grpc_healthcheck_response", Label: "serving_status", Is: "NOT_SERVING"})
	require.Contains(t, r.Values, Value{Name: "probe_grpc_status_code"})
	r = f(pageTimeout+", grpc: {service: sick}", "says NOT_SERVING")
	require.Contains(t, r.Values, Value{Name: "probe_grpc_healthcheck_response", Label: "serving_status", Is: "NOT_SERVING", Number: 1})
	r = f(pageTimeout+", grpc: {service: nobody}", `does not know the service "nobody"`)
	require.Contains(t, r.Values, Value{Name: "probe_grpc_status_code", Number: 5})

	address = serveGRPC(t, false)
	f(pageTimeout, `has no health check \(grpc.health.v1.Health\)`)
	address = listen(t, untilClosed)
	f("timeout: 300ms", `no answer after .*ms \(check\)`)
	address = "127.0.0.1:1"
	f(pageTimeout, "connection refused")

	until := time.Now().Add(time.Hour).Truncate(time.Second)
	pair, ca := certificate(t, until)
	address = serveGRPC(t, true, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	r = f(pageTimeout+", grpc: {tls: true, tls_config: {ca_file: "+ca+"}}", "")
	require.Equal(t, seconds(until), values(r)["probe_ssl_earliest_cert_expiry"])
	f(pageTimeout+", grpc: {tls: true}", "certificate: x509: .*unknown authority")
}
