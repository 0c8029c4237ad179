package envoy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
	"github.com/lockkeeper/lockkeeper/probes"
)

// judge is an extension that takes evidence.
type judge struct {
	component.StartFunc
	component.ShutdownFunc
	mu  sync.Mutex
	all []probes.Evidence
}

func (j *judge) Observe(evidence []probes.Evidence) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, evidence...)
}

// requests are those of subjects of one kind.
func (j *judge) requests(kind string) (n, failures uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.all {
		if strings.HasPrefix(e.Subject, kind+"/") {
			n, failures = n+e.Traffic.Requests, failures+e.Traffic.Failures
		}
	}
	return n, failures
}

// asRouter is what the recorded stream would be of an Istio gateway in an IDC.
func asRouter(messages []*accesslogv3.StreamAccessLogsMessage) []*accesslogv3.StreamAccessLogsMessage {
	first := proto.Clone(messages[0]).(*accesslogv3.StreamAccessLogsMessage)
	first.Identifier.Node = &corev3.Node{Id: "router~10.1.0.1~gateway-1.istio-system~x", Locality: &corev3.Locality{Region: "idc1"}}
	return append([]*accesslogv3.StreamAccessLogsMessage{first}, messages[1:]...)
}

// What entered reaches the extension within seconds: as much as the edges have.
func TestEvidenceOfWhatEntered(t *testing.T) {
	j := &judge{}
	r, client := startOn(t, hostWith{
		component.MustNewID("failover"): j, component.MustNewID("other"): &struct {
			component.StartFunc
			component.ShutdownFunc
		}{},
	}, &consumertest.MetricsSink{}, func(c *Config) { c.Evidence = "any" })
	require.NoError(t, send(t, client, asRouter(recorded(t))))
	var requests, failures uint64
	for _, e := range r.aggregator.Edges(time.Now()) {
		requests, failures = requests+e.Requests, failures+e.Errors
	}
	require.Positive(t, failures)
	require.Eventually(t, func() bool {
		n, failed := j.requests("idc")
		return n == requests && failed == failures
	}, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))

	e := j.all[slices.IndexFunc(j.all, func(e probes.Evidence) bool { return strings.HasPrefix(e.Subject, "idc/") })]
	require.Equal(t, "idc/idc1/entry", e.Subject)
	require.Equal(t, "idc1", e.IDC)
	require.NotEmpty(t, e.Traffic.Callers)
	last := len(e.Traffic.Bounds) - 1
	require.Len(t, e.Traffic.Durations, last+1)
	require.True(t, math.IsInf(e.Traffic.Bounds[last], 1))
	require.Equal(t, e.Traffic.Requests, e.Traffic.Durations[last])
	require.InDelta(t, 1, e.Traffic.Over.Seconds(), 10)
}

// By default an Envoy without a certificate is no witness, and it is counted that it is none.
func TestEvidenceTakesACertificate(t *testing.T) {
	j := &judge{}
	r, client := startOn(t, hostWith{component.MustNewID("failover"): j},
		&consumertest.MetricsSink{}, nil)
	require.NoError(t, send(t, client, asRouter(recorded(t))))
	require.Empty(t, r.aggregator.Entered())
	require.EqualValues(t, 1, r.aggregator.Totals().IngressUntrusted)
	require.NoError(t, r.Shutdown(t.Context()))
	require.Empty(t, j.all)
}

func TestWhoseCertificateItIs(t *testing.T) {
	node := func(metadata map[string]any) *mesh.Node {
		fields, err := structpb.NewStruct(metadata)
		require.NoError(t, err)
		b, err := proto.Marshal(&accesslogv3.StreamAccessLogsMessage{Identifier: &accesslogv3.StreamAccessLogsMessage_Identifier{
			Node: &corev3.Node{Id: "edge-1", Cluster: "edge", Metadata: fields},
		}})
		require.NoError(t, err)
		n, err := mesh.ReadNode(b, mesh.IDCSource{})
		require.NoError(t, err)
		return &n
	}
	f := func(certificate *x509.Certificate, n *mesh.Node, want bool) {
		t.Helper()
		r := &envoyReceiver{config: &Config{Evidence: evidenceMTLS}}
		state := tls.ConnectionState{}
		if certificate != nil {
			state.VerifiedChains = [][]*x509.Certificate{{certificate}}
		}
		ctx := peer.NewContext(context.Background(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
		require.Equal(t, want, r.trusts(ctx, n))
		r.config.Evidence = evidenceAny
		require.True(t, r.trusts(ctx, n))
	}
	spiffe := func(id string) *x509.Certificate {
		u, err := url.Parse(id)
		require.NoError(t, err)
		return &x509.Certificate{URIs: []*url.URL{u}}
	}
	plain := node(nil)
	f(nil, plain, false)
	f(&x509.Certificate{}, plain, false)
	f(&x509.Certificate{DNSNames: []string{"edge-1"}}, plain, true)
	f(&x509.Certificate{DNSNames: []string{"x", "edge"}}, plain, true)
	f(&x509.Certificate{Subject: pkix.Name{CommonName: "edge-1"}}, plain, true)
	f(&x509.Certificate{Subject: pkix.Name{CommonName: "edge-2"}}, plain, false)
	f(spiffe("spiffe://cluster.local/ns/istio-system/sa/gateway"), plain, false)
	istio := node(map[string]any{"NAMESPACE": "istio-system", "SERVICE_ACCOUNT": "gateway"})
	f(spiffe("spiffe://cluster.local/ns/istio-system/sa/gateway"), istio, true)
	f(spiffe("spiffe://cluster.local/ns/istio-system/sa/web"), istio, false)
	f(spiffe("spiffe://cluster.local/ns/web/sa/gateway"), istio, false)
	f(spiffe("https://cluster.local/ns/istio-system/sa/gateway"), istio, false)
	f(spiffe("spiffe://cluster.local/ns//sa/"), node(map[string]any{"NAMESPACE": ""}), false)
	require.False(t, (&envoyReceiver{config: &Config{Evidence: evidenceMTLS}}).trusts(context.Background(), plain))
}
