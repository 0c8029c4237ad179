package mesh

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// fields is an entry as texts and numbers, so that the walk and the generated types can be compared.
type fields struct {
	LogType                              int32
	Intermediate                         bool
	Code                                 uint32
	Flags                                Flags
	Start, Duration, LastTx              duration
	Attempts                             uint32
	StreamID                             string
	Received, Sent                       uint64
	Cluster, Route, Authority, Details   string
	ContentType, GRPCHeader, GRPCTrailer string
	PeerSAN, LocalSAN                    string
	Upstream, Remote, Local              string
	UpstreamPort, RemotePort, LocalPort  uint32
	Reporter, Service                    string
	Source, Destination                  Peer
}

// walked reads b by the walk; ok is false when the walk calls it malformed.
func walked(b []byte, tcp bool) (f fields, ok bool) {
	var e entry
	unmarshal := e.unmarshal
	if tcp {
		unmarshal = e.unmarshalTCP
	}
	if !unmarshal(b) || !e.readUpstream() || !e.readLocal() || !e.readRemote() || !e.readTLS() || !e.readLastTx() {
		return f, false
	}
	e.flags.addDetails(e.details)
	f = fields{
		LogType: e.logType, Intermediate: e.intermediate, Code: e.code, Flags: e.flags, Start: e.start, Attempts: e.attempts, StreamID: string(e.streamID), Duration: e.duration, LastTx: e.lastTx,
		Received: e.received, Sent: e.sent, Cluster: string(e.cluster), Route: string(e.route), Authority: string(e.authority),
		Details: string(e.details), ContentType: string(e.contentType), GRPCHeader: string(e.grpcHeader), GRPCTrailer: string(e.grpcTrailer),
		PeerSAN: string(e.peerSAN), LocalSAN: string(e.localSAN),
		Upstream: string(e.upstream.ip), Remote: string(e.remote.ip), Local: string(e.local.ip),
		UpstreamPort: e.upstream.port, RemotePort: e.remote.port, LocalPort: e.local.port,
		Reporter: string(e.reporter), Service: string(e.service),
	}
	for to, s := range map[*Peer]*side{&f.Source: &e.source, &f.Destination: &e.destination} {
		var a attributes
		if _, ok := a.add(s); !ok {
			return f, false
		}
		for i, v := range a {
			to[i] = string(v)
		}
	}
	return f, true
}

// generated reads b by Envoy's generated types; ok is false when these, or those inside an Any that is read, call it malformed.
func generated(b []byte, tcp bool) (f fields, ok bool) {
	var e accesslogdatav3.HTTPAccessLogEntry
	var connection accesslogdatav3.TCPAccessLogEntry
	if tcp {
		ok = proto.Unmarshal(b, &connection) == nil
		e.CommonProperties = connection.CommonProperties
	} else {
		ok = proto.Unmarshal(b, &e) == nil
	}
	if !ok {
		return f, false
	}
	c, q, r := e.GetCommonProperties(), e.GetRequest(), e.GetResponse()
	tls := c.GetTlsProperties()
	f = fields{
		LogType: int32(c.GetAccessLogType()), Code: r.GetResponseCode().GetValue(),
		Flags: oracleFlags(c.GetResponseFlags()), Start: duration{seconds: c.GetStartTime().GetSeconds(), nanos: c.GetStartTime().GetNanos(), set: c.GetStartTime() != nil},
		Attempts: c.GetUpstreamRequestAttemptCount(), StreamID: c.GetStreamId(), Duration: oracleDuration(c.GetDuration()), LastTx: oracleDuration(c.GetTimeToLastDownstreamTxByte()),
		Received: c.GetDownstreamWireBytesReceived(), Sent: c.GetDownstreamWireBytesSent(),
		Cluster: c.GetUpstreamCluster(), Route: c.GetRouteName(), Authority: q.GetAuthority(), Details: r.GetResponseCodeDetails(),
		ContentType: q.GetRequestHeaders()["content-type"], GRPCHeader: r.GetResponseHeaders()["grpc-status"], GRPCTrailer: r.GetResponseTrailers()["grpc-status"],
		PeerSAN: oracleURI(tls.GetPeerCertificateProperties()), LocalSAN: oracleURI(tls.GetLocalCertificateProperties()),
		Reporter: c.GetCustomTags()["reporter"], Service: c.GetCustomTags()["destination_service"],
	}
	//lint:ignore SA1019 older Envoys tell an intermediate entry by nothing else
	f.Intermediate = c.GetIntermediateLogEntry()
	if strings.HasPrefix(f.Details, "unconditional_drop_overload") {
		f.Flags |= 1 << flagDropOverload
	}
	if strings.HasPrefix(f.Details, "drop_overload") {
		f.Flags |= 1 << flagDropShare
	}
	if p := connection.GetConnectionProperties(); p != nil {
		f.Received, f.Sent = p.GetReceivedBytes(), p.GetSentBytes()
	}
	f.Upstream, f.UpstreamPort = oracleAddress(c.GetUpstreamRemoteAddress())
	f.Remote, f.RemotePort = oracleAddress(c.GetDownstreamDirectRemoteAddress())
	f.Local, f.LocalPort = oracleAddress(c.GetDownstreamLocalAddress())
	if f.Source, ok = oraclePeer(c, "downstream_peer", "source_"); !ok {
		return f, false
	}
	f.Destination, ok = oraclePeer(c, "upstream_peer", "destination_")
	return f, ok
}

func oracleFlags(r *accesslogdatav3.ResponseFlags) Flags {
	var f Flags
	m := r.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		if field := m.Descriptor().Fields().Get(i); r != nil && m.Has(field) {
			f |= 1 << field.Number()
		}
	}
	return f
}

func oracleDuration(d *durationpb.Duration) duration {
	return duration{seconds: d.GetSeconds(), nanos: d.GetNanos(), set: d != nil}
}

func oracleAddress(a *corev3.Address) (string, uint32) {
	return a.GetSocketAddress().GetAddress(), a.GetSocketAddress().GetPortValue()
}

func oracleURI(p *accesslogdatav3.TLSProperties_CertificateProperties) string {
	for _, name := range p.GetSubjectAltName() {
		if name.GetUri() != "" {
			return name.GetUri()
		}
	}
	return ""
}

func oraclePeer(c *accesslogdatav3.AccessLogCommon, object, prefix string) (p Peer, ok bool) {
	set := func(i int, v string) {
		if p[i] == "" && v != Unknown && v != "-" {
			p[i] = v
		}
	}
	addStruct := func(s *structpb.Struct) {
		for key, value := range s.GetFields() {
			if i := structAttribute([]byte(key)); i >= 0 {
				set(i, value.GetStringValue())
			}
		}
	}
	addEndpoint := func(text string) {
		for i, v := range strings.SplitN(text, ";", 6) {
			if i < 5 {
				set([]int{workload, namespace, canonicalService, canonicalRevision, clusterID}[i], v)
			}
		}
	}
	state := c.GetFilterStateObjects()[object]
	switch name := state.GetTypeUrl(); name[strings.LastIndexByte(name, '/')+1:] {
	case "google.protobuf.Struct":
		var s structpb.Struct
		if proto.Unmarshal(state.GetValue(), &s) != nil {
			return p, false
		}
		addStruct(&s)
	case "google.protobuf.StringValue":
		var s wrapperspb.StringValue
		if proto.Unmarshal(state.GetValue(), &s) != nil {
			return p, false
		}
		addEndpoint(s.GetValue())
	}
	addStruct(c.GetMetadata().GetFilterMetadata()["istio.peer"].GetFields()[object].GetStructValue())
	for key, value := range c.GetCustomTags() {
		if name, found := strings.CutPrefix(key, prefix); found {
			if i := tagAttribute([]byte(name)); i >= 0 && (i != workload || !strings.Contains(value, ";")) {
				set(i, value)
			}
		}
	}
	if endpoint := c.GetCustomTags()[prefix+"workload"]; strings.Contains(endpoint, ";") {
		addEndpoint(endpoint)
	}
	return p, true
}
