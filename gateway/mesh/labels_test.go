package mesh

import (
	"testing"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestLabels(t *testing.T) {
	type change = func(e *accesslogdatav3.HTTPAccessLogEntry)
	f := func(what string, change change, want ...string) {
		t.Helper()
		series := count(t, Options{}, request(change))
		if len(series) != 1 {
			t.Errorf("%s: %d series, want one", what, len(series))
			return
		}
		for i := 0; i < len(want); i += 2 {
			if got := label(series[0], want[i]); got != want[i+1] {
				t.Errorf("%s: %s is %q, want %q", what, want[i], got, want[i+1])
			}
		}
	}
	f("a served request", nil, "reporter", "source", "source_app", "web", "source_version", "v1", "destination_app", "reviews", "destination_version", "v2",
		"destination_service", "reviews.default.svc.cluster.local", "destination_service_name", "reviews", "destination_service_namespace", "default",
		"response_code", "200", "response_flags", "-", "connection_security_policy", "unknown", "destination_workload", "unknown")
	f("the inbound side", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.UpstreamCluster = "inbound|8080||"
		e.CommonProperties.FilterStateObjects = map[string]*anypb.Any{"downstream_peer": peerStruct("app", "shop", "version", "v9")}
	}, "reporter", "destination", "source_app", "shop", "source_version", "v9", "destination_app", "web", "destination_version", "v1",
		"destination_service", "reviews", "connection_security_policy", "none")
	f("no host chosen", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.UpstreamCluster, e.CommonProperties.UpstreamRemoteAddress, e.CommonProperties.FilterStateObjects = "", nil, nil
		e.CommonProperties.DownstreamLocalAddress = socket("10.0.0.1", 15001)
		e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{NoHealthyUpstream: true}
	}, "reporter", "source", "destination_app", "unknown", "destination_version", "unknown", "destination_service", "reviews", "response_flags", "UH")
	f("a service named by the route", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.UpstreamCluster, e.CommonProperties.RouteName = "", "outbound|80||ratings.default.svc.cluster.local"
	}, "destination_service", "ratings.default.svc.cluster.local")
	f("traffic let through", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.UpstreamCluster = "PassthroughCluster"
	}, "reporter", "source", "destination_service", "reviews", "destination_service_name", "PassthroughCluster")
	f("the order of flags", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{UpstreamRetryLimitExceeded: true, UpstreamConnectionFailure: true}
	}, "response_flags", "UF,URX")
	f("no response", func(e *accesslogdatav3.HTTPAccessLogEntry) { e.Response.ResponseCode = nil }, "response_code", "0")
	f("gRPC by trailer", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.Response.ResponseTrailers = map[string]string{"grpc-status": "13"}
	}, "request_protocol", "grpc", "grpc_response_status", "13")
	f("gRPC by header of a trailers-only response", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.Response.ResponseHeaders = map[string]string{"grpc-status": "5"}
	}, "request_protocol", "grpc", "grpc_response_status", "5")
	f("a grpc-status that is none", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.Response.ResponseTrailers = map[string]string{"grpc-status": "9999999999"}
	}, "request_protocol", "http", "grpc_response_status", "")
	f("mutual TLS", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.UpstreamCluster = "inbound|8080||"
		san := func(uri string) *accesslogdatav3.TLSProperties_CertificateProperties {
			return &accesslogdatav3.TLSProperties_CertificateProperties{SubjectAltName: []*accesslogdatav3.TLSProperties_CertificateProperties_SubjectAltName{
				{San: &accesslogdatav3.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: uri}},
			}}
		}
		e.CommonProperties.TlsProperties = &accesslogdatav3.TLSProperties{PeerCertificateProperties: san("spiffe://a"), LocalCertificateProperties: san("spiffe://b")}
	}, "connection_security_policy", "mutual_tls", "source_principal", "spiffe://a", "destination_principal", "spiffe://b")
	f("wrong types in a peer", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		b, _ := proto.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{
			"app": structpb.NewNumberValue(7), "version": structpb.NewListValue(nil), "workload": structpb.NewStringValue("w"), "cluster": structpb.NewNullValue(),
		}})
		e.CommonProperties.FilterStateObjects["upstream_peer"].Value = b
	}, "destination_workload", "w", "destination_app", "unknown", "destination_version", "unknown", "destination_cluster", "unknown")
	f("an entry that tells nothing", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties, e.Request = &accesslogdatav3.AccessLogCommon{}, nil
	}, "reporter", "unknown", "source_app", "unknown", "destination_service", "unknown")
}
