// Package load makes the access-log load that Lockkeeper is measured with: messages of about 17 kB as 13.6 Envoy entries
// each, with both peers as Structs, TLS properties and timings, 2 % of them with a response flag and 20 % gRPC, which fall
// into some 5,000 series. It serves benchmarks only.
package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	services = 20
	versions = 3
	routes   = 50
)

// Shape says what a stream's messages look like. The zero value is the usual load.
type Shape struct {
	// Sidecar keeps all entries of a stream to one source workload, as a real sidecar does. Otherwise streams are mixed.
	Sidecar bool
	// AnyOrder writes the fields of peer Structs in random order, as Envoy's own encoder may.
	AnyOrder bool
}

// Messages makes n messages of stream number stream, the first of them with an identifier. Equal arguments give equal
// messages, but for AnyOrder.
func Messages(stream, n int, shape Shape) ([][]byte, error) {
	g := generator{random: rand.New(rand.NewPCG(uint64(stream), 1)), shape: shape, stream: stream}
	out := make([][]byte, n)
	for i := range out {
		m := &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{},
		}}
		if i == 0 {
			m.Identifier = g.identifier()
		}
		for range 13 + min(1, g.random.IntN(5)/2) { // 13.6 on average
			entry, err := g.entry()
			if err != nil {
				return nil, err
			}
			logs := m.GetHttpLogs()
			logs.LogEntry = append(logs.LogEntry, entry)
		}
		var err error
		if out[i], err = (proto.MarshalOptions{Deterministic: !shape.AnyOrder}).Marshal(m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Entries counts the entries of messages.
func Entries(messages [][]byte) (int, error) {
	n := 0
	for _, b := range messages {
		var m accesslogv3.StreamAccessLogsMessage
		if err := proto.Unmarshal(b, &m); err != nil {
			return 0, err
		}
		n += len(m.GetHttpLogs().GetLogEntry())
	}
	return n, nil
}

type generator struct {
	random *rand.Rand
	shape  Shape
	stream int
}

func (g *generator) identifier() *accesslogv3.StreamAccessLogsMessage_Identifier {
	app := fmt.Sprintf("svc-%d", g.stream%services)
	return &accesslogv3.StreamAccessLogsMessage_Identifier{
		LogName: "http_envoy_accesslog",
		Node: &corev3.Node{
			Id:       fmt.Sprintf("sidecar~10.0.%d.%d~%s-v1-abcde.default~default.svc.cluster.local", g.stream/250, g.stream%250, app),
			Locality: &corev3.Locality{Region: fmt.Sprintf("idc%d", 1+g.stream%2)},
			Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
				"WORKLOAD_NAME": structpb.NewStringValue(app + "-v1"),
				"NAMESPACE":     structpb.NewStringValue("default"),
				"LABELS":        structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"app": structpb.NewStringValue(app), "version": structpb.NewStringValue("v1")}}),
			}},
		},
	}
}

func (g *generator) entry() (*accesslogdatav3.HTTPAccessLogEntry, error) {
	source, sourceVersion := g.random.IntN(services), 1+g.random.IntN(versions)
	if g.shape.Sidecar {
		source, sourceVersion = g.stream%services, 1
	}
	destination, destinationVersion := g.random.IntN(services), 1+g.random.IntN(versions)
	from, err := g.peer(source, sourceVersion)
	if err != nil {
		return nil, err
	}
	to, err := g.peer(destination, destinationVersion)
	if err != nil {
		return nil, err
	}
	ms := func(limit int) *durationpb.Duration {
		return durationpb.New(time.Duration(1+g.random.IntN(limit*1000)) * time.Microsecond)
	}
	host := fmt.Sprintf("svc-%d.default.svc.cluster.local", destination)
	common := &accesslogdatav3.AccessLogCommon{
		DownstreamRemoteAddress:       socket(source, 40000+g.random.IntN(20000)),
		DownstreamDirectRemoteAddress: socket(source, 40000+g.random.IntN(20000)),
		DownstreamLocalAddress:        socket(destination, 8080),
		UpstreamRemoteAddress:         socket(destination*versions+destinationVersion, 8080),
		UpstreamLocalAddress:          socket(source, 40000+g.random.IntN(20000)),
		TlsProperties: &accesslogdatav3.TLSProperties{
			TlsVersion:                 accesslogdatav3.TLSProperties_TLSv1_3,
			TlsCipherSuite:             wrapperspb.UInt32(0x1301),
			TlsSniHostname:             "outbound_.8080_._." + host,
			LocalCertificateProperties: certificate(destination),
			PeerCertificateProperties:  certificate(source),
		},
		StartTime:        timestamppb.New(time.Unix(1700000000, int64(g.random.IntN(1e9)))),
		TimeToLastRxByte: ms(2), TimeToFirstUpstreamTxByte: ms(3), TimeToLastUpstreamTxByte: ms(4), TimeToFirstUpstreamRxByte: ms(40),
		TimeToLastUpstreamRxByte: ms(50), TimeToFirstDownstreamTxByte: ms(51), TimeToLastDownstreamTxByte: ms(52), Duration: ms(53),
		UpstreamCluster:             fmt.Sprintf("outbound|8080||%s", host),
		RouteName:                   fmt.Sprintf("route-%d", g.random.IntN(routes)),
		FilterStateObjects:          map[string]*anypb.Any{"downstream_peer": from, "upstream_peer": to},
		UpstreamRequestAttemptCount: 1,
		StreamId:                    fmt.Sprintf("%08x-%04x-4000-8000-%012x", g.random.Uint32(), g.random.IntN(1<<16), g.random.Uint64()>>16),
		DownstreamWireBytesReceived: uint64(200 + g.random.IntN(2000)), DownstreamWireBytesSent: uint64(300 + g.random.IntN(20000)),
		UpstreamWireBytesReceived: uint64(300 + g.random.IntN(20000)), UpstreamWireBytesSent: uint64(200 + g.random.IntN(2000)),
		AccessLogType: accesslogdatav3.AccessLogType_DownstreamEnd,
	}
	entry := &accesslogdatav3.HTTPAccessLogEntry{
		CommonProperties: common,
		ProtocolVersion:  accesslogdatav3.HTTPAccessLogEntry_HTTP2,
		Request: &accesslogdatav3.HTTPRequestProperties{
			RequestMethod: corev3.RequestMethod_GET, Scheme: "https", Authority: host + ":8080",
			Path: fmt.Sprintf("/api/v1/accounts/%d/transactions", g.random.IntN(1e6)), UserAgent: "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36",
			RequestId: common.StreamId, RequestHeadersBytes: 412, RequestBodyBytes: uint64(g.random.IntN(2000)),
		},
		Response: &accesslogdatav3.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(200), ResponseHeadersBytes: 180, ResponseBodyBytes: uint64(g.random.IntN(20000)),
			ResponseCodeDetails: "via_upstream",
		},
	}
	g.outcome(entry)
	return entry, nil
}

// outcome makes every fifth request gRPC, two of a hundred flagged, and some of the others failed.
func (g *generator) outcome(e *accesslogdatav3.HTTPAccessLogEntry) {
	if g.random.IntN(5) == 0 {
		e.Request.RequestHeaders = map[string]string{"content-type": "application/grpc"}
		e.Response.ResponseTrailers = map[string]string{"grpc-status": []string{"0", "0", "0", "0", "5", "13"}[g.random.IntN(6)]}
	} else if g.random.IntN(10) == 0 {
		e.Response.ResponseCode = wrapperspb.UInt32([]uint32{201, 404, 500}[g.random.IntN(3)])
	}
	if g.random.IntN(50) == 0 {
		e.Response.ResponseCode = wrapperspb.UInt32(503)
		e.CommonProperties.ResponseFlags = []*accesslogdatav3.ResponseFlags{
			{UpstreamConnectionFailure: true}, {UpstreamConnectionTermination: true}, {UpstreamRequestTimeout: true, UpstreamRetryLimitExceeded: true},
		}[g.random.IntN(3)]
	}
}

func (g *generator) peer(service, version int) (*anypb.Any, error) {
	name, v := fmt.Sprintf("svc-%d", service), fmt.Sprintf("v%d", version)
	fields := map[string]*structpb.Value{}
	for key, value := range map[string]string{
		"type": "deployment", "workload": name + "-" + v, "name": name + "-" + v + "-6b8d9c7f5-abcde", "namespace": "default",
		"cluster": "Kubernetes", "service": name, "revision": v, "app": name, "version": v,
	} {
		fields[key] = structpb.NewStringValue(value)
	}
	b, err := (proto.MarshalOptions{Deterministic: !g.shape.AnyOrder}).Marshal(&structpb.Struct{Fields: fields})
	return &anypb.Any{TypeUrl: "type.googleapis.com/google.protobuf.Struct", Value: b}, err
}

func certificate(service int) *accesslogdatav3.TLSProperties_CertificateProperties {
	return &accesslogdatav3.TLSProperties_CertificateProperties{
		SubjectAltName: []*accesslogdatav3.TLSProperties_CertificateProperties_SubjectAltName{{
			San: &accesslogdatav3.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: fmt.Sprintf("spiffe://cluster.local/ns/default/sa/svc-%d", service)},
		}},
	}
}

func socket(host, port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: fmt.Sprintf("10.1.%d.%d", host/250, host%250), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}
