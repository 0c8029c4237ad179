package envoy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lockkeeper/lockkeeper/probes"
)

// tries is a stream of an Envoy that has tried an endpoint, well and in vain.
func tries(node string) []*accesslogv3.StreamAccessLogsMessage {
	entry := func(code uint32, flags *accesslogdatav3.ResponseFlags) *accesslogdatav3.HTTPAccessLogEntry {
		return &accesslogdatav3.HTTPAccessLogEntry{
			CommonProperties: &accesslogdatav3.AccessLogCommon{
				AccessLogType: accesslogdatav3.AccessLogType_UpstreamEnd, UpstreamCluster: "web", ResponseFlags: flags,
				UpstreamRemoteAddress: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
					Address: "10.0.0.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 8080},
				}}},
			},
			Response: &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(code)},
		}
	}
	return []*accesslogv3.StreamAccessLogsMessage{{
		Identifier: &accesslogv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: node, Cluster: "shop"}, LogName: "tries"},
		LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{
			LogEntry: []*accesslogdatav3.HTTPAccessLogEntry{entry(200, nil), entry(0, &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true}), entry(503, nil)},
		}},
	}}
}

// What two callers tried reaches the extension within seconds, as they saw it.
func TestEvidenceOfTries(t *testing.T) {
	f := func(change func(*Config), failures uint64, flags map[string]uint64) {
		t.Helper()
		j := &judge{}
		r, client := startOn(t, hostWith{component.MustNewID("failover"): j}, &consumertest.MetricsSink{}, func(c *Config) {
			c.Evidence = "any"
			change(c)
		})
		require.NoError(t, send(t, client, tries("shop-1")))
		require.NoError(t, send(t, client, tries("shop-2")))
		require.Eventually(t, func() bool { n, failed := j.requests("endpoint"); return n == 6 && failed == 2*failures }, 20*time.Second, 20*time.Millisecond)
		require.NoError(t, r.Shutdown(t.Context()))
		sum := probes.Traffic{Flags: map[string]uint64{}, Callers: map[string]uint64{}, Failing: map[string]uint64{}}
		for _, e := range j.all {
			require.Equal(t, "endpoint/10.0.0.7:8080", e.Subject)
			require.Equal(t, "web", e.Traffic.Cluster)
			require.Equal(t, 3*time.Second, e.Next)
			for to, from := range map[*map[string]uint64]map[string]uint64{&sum.Flags: e.Traffic.Flags, &sum.Callers: e.Traffic.Callers, &sum.Failing: e.Traffic.Failing} {
				for name, n := range from {
					(*to)[name] += n
				}
			}
		}
		require.Equal(t, flags, sum.Flags)
		require.Equal(t, map[string]uint64{"shop-1": 3, "shop-2": 3}, sum.Callers)
		require.Equal(t, map[string]uint64{"shop-1": failures, "shop-2": failures}, sum.Failing)
	}
	f(func(*Config) {}, 2, map[string]uint64{"UF": 2, "5xx": 2})
	f(func(c *Config) { c.Evidence5xx = false }, 1, map[string]uint64{"UF": 2})
}

// Who shows no certificate that names it tells nothing, whatever node ids it makes up.
func TestForgedNodesAreNoEvidence(t *testing.T) {
	j := &judge{}
	r, client := startOn(t, hostWith{component.MustNewID("failover"): j}, &consumertest.MetricsSink{}, nil)
	for _, node := range []string{"shop-1", "shop-2", "shop-3"} {
		require.NoError(t, send(t, client, tries(node)))
	}
	require.Empty(t, r.aggregator.Tried(time.Now()))
	require.EqualValues(t, 3, r.aggregator.Totals().TriesUntrusted)
	require.NoError(t, r.Shutdown(t.Context()))
	require.Empty(t, j.all)
}

// One certificate is one caller.
func TestCallerIsTheCertificate(t *testing.T) {
	f := func(certificate *x509.Certificate) string {
		r := &envoyReceiver{config: &Config{Evidence: evidenceMTLS}}
		state := tls.ConnectionState{}
		if certificate != nil {
			state.VerifiedChains = [][]*x509.Certificate{{certificate}}
		}
		ctx := peer.NewContext(context.Background(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
		caller := r.caller(ctx)
		r.config.Evidence = evidenceAny
		require.Empty(t, r.caller(ctx))
		return caller
	}
	account, err := url.Parse("spiffe://cluster.local/ns/web/sa/shop")
	require.NoError(t, err)
	require.Empty(t, f(nil))
	require.Regexp(t, "^spiffe://cluster.local/ns/web/sa/shop [0-9a-f]{16}$", f(&x509.Certificate{Raw: []byte{1}, URIs: []*url.URL{account}}))
	require.NotEqual(t, f(&x509.Certificate{Raw: []byte{1}, URIs: []*url.URL{account}}), f(&x509.Certificate{Raw: []byte{2}, URIs: []*url.URL{account}}))
	require.Regexp(t, "^edge-1 [0-9a-f]{16}$", f(&x509.Certificate{Raw: []byte{1}, DNSNames: []string{"edge-1"}}))
	require.Regexp(t, "^edge [0-9a-f]{16}$", f(&x509.Certificate{Raw: []byte{1}, Subject: pkix.Name{CommonName: "edge"}, DNSNames: []string{"edge-1"}}))
}
