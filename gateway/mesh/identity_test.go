package mesh

import (
	"fmt"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// uri is a certificate with one.
func uri(uri string) *accesslogdatav3.TLSProperties_CertificateProperties {
	return &accesslogdatav3.TLSProperties_CertificateProperties{SubjectAltName: []*accesslogdatav3.TLSProperties_CertificateProperties_SubjectAltName{
		{San: &accesslogdatav3.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: uri}},
	}}
}

// Each way in which an Envoy, of Istio or not, tells who is at the ends of a request.
func TestIdentity(t *testing.T) {
	type change = func(c *accesslogdatav3.AccessLogCommon)
	f := func(what, kind string, change change, unknown []string, want ...string) {
		t.Helper()
		a := New(Options{}, time.Now())
		n := workloadNode(kind+"~10.0.0.1~own-1.shop~x", "idc-a", "own-v1")
		n.peer[namespace], n.peer[app], n.peer[version] = "shop", "own", "v1"
		s := a.Open(n)
		e := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
			e.CommonProperties.FilterStateObjects = nil
			change(e.CommonProperties)
		})
		if err := s.Add(message(t, e)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		series := flush(t, a, time.Now())
		if len(series) != 1 {
			t.Fatalf("%s: %d series, want one", what, len(series))
		}
		for i := 0; i < len(want); i += 2 {
			if got := label(series[0], want[i]); got != want[i+1] {
				t.Errorf("%s: %s is %q, want %q", what, want[i], got, want[i+1])
			}
		}
		var got []string
		for i, n := range a.Totals().All.Unknown {
			if n > 0 {
				got = append(got, UnknownNames()[i])
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(unknown) {
			t.Errorf("%s: unknown are %v, want %v", what, got, unknown)
		}
	}
	upstream := func(a *anypb.Any) change {
		return func(c *accesslogdatav3.AccessLogCommon) {
			c.FilterStateObjects = map[string]*anypb.Any{"upstream_peer": a}
		}
	}
	tags := func(pairs ...string) change {
		return func(c *accesslogdatav3.AccessLogCommon) {
			c.CustomTags = map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				c.CustomTags[pairs[i]] = pairs[i+1]
			}
		}
	}
	inbound := func(peer, local string, state *anypb.Any) change {
		return func(c *accesslogdatav3.AccessLogCommon) {
			c.UpstreamCluster = "inbound|8080||"
			c.TlsProperties = &accesslogdatav3.TLSProperties{PeerCertificateProperties: uri(peer), LocalCertificateProperties: uri(local)}
			if state != nil {
				c.FilterStateObjects = map[string]*anypb.Any{"downstream_peer": state}
			}
		}
	}
	f("Istio's Struct", "sidecar", upstream(peerStruct("workload", "reviews-v2", "namespace", "books", "service", "reviews", "revision", "v2", "app", "reviews", "cluster", "b")), nil,
		"source_workload", "own-v1", "source_workload_namespace", "shop", "source_app", "own", "source_version", "v1",
		"destination_workload", "reviews-v2", "destination_workload_namespace", "books", "destination_canonical_service", "reviews",
		"destination_canonical_revision", "v2", "destination_version", "v2", "destination_cluster", "b")
	f("a StringValue", "sidecar", upstream(packed(t, wrapperspb.String("reviews-v2;books;reviews;v2;b"))), nil,
		"destination_workload", "reviews-v2", "destination_workload_namespace", "books", "destination_app", "reviews", "destination_version", "v2", "destination_cluster", "b")
	f("endpoint metadata in a custom tag", "sidecar", tags("destination_workload", "reviews-v2;books;reviews;;b"), nil,
		"destination_workload", "reviews-v2", "destination_workload_namespace", "books", "destination_app", "reviews", "destination_version", "unknown",
		"destination_canonical_revision", "latest")
	f("custom tags", "sidecar", tags("destination_app", "reviews", "destination_version", "v2", "destination_principal", "spiffe://d/ns/books/sa/r", "source_app", "other"), nil,
		"destination_app", "reviews", "destination_version", "v2", "destination_principal", "spiffe://d/ns/books/sa/r", "destination_workload_namespace", "books",
		"source_app", "other", "source_workload", "own-v1")
	f("dynamic metadata", "sidecar", func(c *accesslogdatav3.AccessLogCommon) {
		peer := structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"app": structpb.NewStringValue("reviews"), "namespace": structpb.NewStringValue("books")}})
		c.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"istio.peer": {Fields: map[string]*structpb.Value{"upstream_peer": peer}}}}
	}, nil, "destination_app", "reviews", "destination_workload_namespace", "books")
	f("Istio's FlatBuffers", "sidecar", func(c *accesslogdatav3.AccessLogCommon) {
		c.FilterStateObjects = map[string]*anypb.Any{"wasm.upstream_peer": packed(t, wrapperspb.Bytes([]byte{1, 2})), "wasm.upstream_peer_id": packed(t, wrapperspb.Bytes([]byte("id")))}
	}, []string{"destination", "peer_form"}, "destination_app", "unknown")
	f("a peer of a foreign type", "sidecar", upstream(packed(t, wrapperspb.Bytes([]byte{1, 2}))), []string{"destination", "peer_form"}, "destination_app", "unknown")
	f("only certificates", "sidecar", inbound("spiffe://d/ns/front/sa/web", "spiffe://d/ns/shop/sa/own", nil), []string{"source"},
		"source_workload_namespace", "front", "source_principal", "spiffe://d/ns/front/sa/web", "source_workload", "unknown",
		"destination_workload", "own-v1", "destination_workload_namespace", "shop", "connection_security_policy", "mutual_tls")
	f("a certificate against what is told", "sidecar", inbound("spiffe://d/ns/front/sa/web", "spiffe://d/ns/shop/sa/own", peerStruct("app", "web", "namespace", "elsewhere")), nil,
		"source_app", "web", "source_workload_namespace", "front")
	f("a certificate that is not Istio's", "sidecar", inbound("spiffe://d/web", "https://d/ns/shop/sa/own", peerStruct("app", "web", "namespace", "front")), nil,
		"source_workload_namespace", "front", "destination_workload_namespace", "shop")
	f("a gateway", "router", func(c *accesslogdatav3.AccessLogCommon) {
		c.UpstreamCluster = "reviews"
		c.FilterStateObjects = map[string]*anypb.Any{"upstream_peer": peerStruct("app", "reviews")}
	}, nil, "reporter", "source", "source_workload", "own-v1", "destination_app", "reviews")
	f("a waypoint", "waypoint", func(c *accesslogdatav3.AccessLogCommon) {
		c.UpstreamCluster = "inbound-vip"
		c.FilterStateObjects = map[string]*anypb.Any{"upstream_peer": peerStruct("app", "reviews"), "downstream_peer": peerStruct("app", "web")}
	}, nil, "reporter", "waypoint", "source_app", "web", "destination_app", "reviews")
	f("a service named by tag, before cluster and authority", "sidecar", tags("destination_service", "Tagged.example.com", "destination_app", "x"), nil,
		"destination_service", "tagged.example.com")
	f("a service named by its cluster, before its route", "sidecar", func(c *accesslogdatav3.AccessLogCommon) {
		c.RouteName = "outbound|80||ratings.default.svc.cluster.local"
		c.CustomTags = map[string]string{"destination_app": "x"}
	}, nil, "destination_service", "reviews.default.svc.cluster.local")
}

func TestUnknownIDC(t *testing.T) {
	a := New(Options{}, time.Now())
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web"))
	if err := s.Add(message(t, request(nil))); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got := a.Totals().All.Unknown[unknownIDC]; got != 1 {
		t.Errorf("%d entries of an unknown IDC, want 1", got)
	}
}

func TestNamespaceOfPrincipal(t *testing.T) {
	f := func(principal, want string) {
		t.Helper()
		if got := namespaceOf(principal); got != want {
			t.Errorf("%q: got %q, want %q", principal, got, want)
		}
	}
	f("spiffe://cluster.local/ns/default/sa/web", "default")
	f("spiffe://cluster.local/ns/default", "default")
	f("spiffe://cluster.local/ns/", "")
	f("spiffe://cluster.local/x/ns/default/sa/web", "")
	f("https://cluster.local/ns/default/sa/web", "")
	f("spiffe://ns/default/sa/web", "")
	f("", "")
}
