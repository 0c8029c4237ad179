package envoy

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/proto"
)

// recordWriter writes one entry as a log record.
type recordWriter struct {
	attributes
	log  plog.LogRecord
	code uint32
	line textLine
}

// textLine is what Envoy's default text log has of an entry.
type textLine struct {
	request                                string // method, path, protocol
	serviceTime                            string
	sent, received                         uint64
	forwardedFor, userAgent, id, authority string
}

// record returns an entry as a log record, and at most how many bytes that has in OTLP. It fails on an entry that cannot be decoded.
func (r *recorder) record(e *waitingEntry) (plog.LogRecord, int, error) {
	w := recordWriter{log: plog.NewLogRecord()}
	w.Map = w.log.Attributes()
	w.EnsureCapacity(96)
	var common *accesslogdatav3.AccessLogCommon
	var http accesslogdatav3.HTTPAccessLogEntry
	if e.tcp {
		var entry accesslogdatav3.TCPAccessLogEntry
		if err := proto.Unmarshal(e.raw, &entry); err != nil {
			return w.log, 0, fmt.Errorf("TCPAccessLogEntry: %w", err)
		}
		common = entry.GetCommonProperties()
		w.connection(entry.GetConnectionProperties())
	} else {
		if err := proto.Unmarshal(e.raw, &http); err != nil {
			return w.log, 0, fmt.Errorf("HTTPAccessLogEntry: %w", err)
		}
		common = http.GetCommonProperties()
		w.request(&http)
		w.response(http.GetResponse())
	}
	w.common(common)
	w.outcome(e)
	for _, a := range r.attributes {
		w.text(a.name, a.of(common, &http))
	}
	w.log.SetObservedTimestamp(pcommon.NewTimestampFromTime(e.at))
	w.log.SetEventName("envoy.access_log")
	body := w.body(common, e)
	w.log.Body().SetStr(body)
	w.log.SetDroppedAttributesCount(w.dropped)
	return w.log, w.bytes + len(body) + 160, nil
}

func (w *recordWriter) request(entry *accesslogdatav3.HTTPAccessLogEntry) {
	q := entry.GetRequest()
	protocol, version := "-", ""
	switch entry.GetProtocolVersion() {
	case accesslogdatav3.HTTPAccessLogEntry_HTTP10:
		protocol, version = "HTTP/1.0", "1.0"
	case accesslogdatav3.HTTPAccessLogEntry_HTTP11:
		protocol, version = "HTTP/1.1", "1.1"
	case accesslogdatav3.HTTPAccessLogEntry_HTTP2:
		protocol, version = "HTTP/2", "2"
	case accesslogdatav3.HTTPAccessLogEntry_HTTP3:
		protocol, version = "HTTP/3", "3"
	}
	w.text("network.protocol.name", "http")
	w.text("network.protocol.version", version)
	path, method := q.GetPath(), ""
	if n := q.GetRequestMethod(); n != corev3.RequestMethod_METHOD_UNSPECIFIED {
		method = n.String()
	} else if path != "" {
		method = "_OTHER" // Envoy has no name for it
	}
	if q.GetOriginalPath() != "" {
		path = q.GetOriginalPath()
		w.long("envoy.path", q.GetPath(), maxPath)
	}
	path, query, _ := strings.Cut(path, "?")
	w.text("http.request.method", method)
	w.long("url.path", path, maxPath)
	w.long("url.query", query, maxPath)
	w.text("url.scheme", q.GetScheme())
	host, port := splitAuthority(q.GetAuthority())
	w.text("server.address", host)
	w.number("server.port", port)
	w.text("user_agent.original", q.GetUserAgent())
	w.text("request_id", q.GetRequestId())
	w.text("pinpoint.trace_id", q.GetRequestHeaders()["pinpoint-traceid"])
	w.number("http.request.body.size", q.GetRequestBodyBytes())
	w.number("envoy.request_headers_bytes", q.GetRequestHeadersBytes())
	w.number("envoy.upstream_header_bytes_sent", q.GetUpstreamHeaderBytesSent())
	w.number("envoy.downstream_header_bytes_received", q.GetDownstreamHeaderBytesReceived())
	w.headers("http.request.header.", q.GetRequestHeaders())
	for name, value := range map[string]string{"referer": q.GetReferer(), "x-forwarded-for": q.GetForwardedFor()} {
		if value != "" {
			w.texts("http.request.header."+name, value)
		}
	}
	t := readTraceContext(q.GetRequestHeaders())
	w.log.SetTraceID(t.trace)
	w.log.SetSpanID(t.span)
	w.log.SetFlags(plog.DefaultLogRecordFlags.WithIsSampled(t.sampled))
	w.line = textLine{
		request:  dash(method) + " " + shorten(dash(path), maxPath) + " " + protocol,
		received: q.GetRequestBodyBytes(), forwardedFor: q.GetForwardedFor(), userAgent: q.GetUserAgent(), id: q.GetRequestId(), authority: q.GetAuthority(),
	}
}

func (w *recordWriter) response(p *accesslogdatav3.HTTPResponseProperties) {
	w.code = p.GetResponseCode().GetValue()
	w.number("http.response.status_code", uint64(w.code))
	w.number("http.response.body.size", p.GetResponseBodyBytes())
	w.number("envoy.response_headers_bytes", p.GetResponseHeadersBytes())
	w.number("envoy.upstream_header_bytes_received", p.GetUpstreamHeaderBytesReceived())
	w.number("envoy.downstream_header_bytes_sent", p.GetDownstreamHeaderBytesSent())
	w.text("envoy.response_code_details", p.GetResponseCodeDetails())
	w.headers("http.response.header.", p.GetResponseHeaders())
	w.headers("envoy.response_trailer.", p.GetResponseTrailers())
	w.line.sent = p.GetResponseBodyBytes()
	if ms, err := strconv.ParseUint(p.GetResponseHeaders()["x-envoy-upstream-service-time"], 10, 32); err == nil {
		w.line.serviceTime = strconv.FormatUint(ms, 10)
	}
}

func (w *recordWriter) connection(p *accesslogdatav3.ConnectionProperties) {
	w.text("network.transport", "tcp")
	w.number("envoy.received_bytes", p.GetReceivedBytes())
	w.number("envoy.sent_bytes", p.GetSentBytes())
	w.line = textLine{request: "- - -", received: p.GetReceivedBytes(), sent: p.GetSentBytes()}
}

// of is the attribute's value in an entry, "" without. A request's header goes before a response's and a trailer.
func (a *recordAttribute) of(common *accesslogdatav3.AccessLogCommon, entry *accesslogdatav3.HTTPAccessLogEntry) string {
	p := entry.GetResponse()
	return cmp.Or(common.GetCustomTags()[a.Tag],
		entry.GetRequest().GetRequestHeaders()[a.Header], p.GetResponseHeaders()[a.Header], p.GetResponseTrailers()[a.Header])
}

// outcome writes the labels that the entry is counted under, and whether and how the request failed.
func (w *recordWriter) outcome(e *waitingEntry) {
	var grpc code.Code
	for _, l := range e.labels {
		w.text(l.Name, l.Value)
		if l.Name == "grpc_response_status" {
			n, _ := strconv.ParseInt(l.Value, 10, 32) // mesh wrote it
			grpc = code.Code(n)
			w.text("rpc.response.status_code", grpc.String())
		}
		if l.Name == "request_protocol" && l.Value == "grpc" {
			path, _ := w.Get("url.path")
			w.text("rpc.system.name", "grpc")
			w.long("rpc.method", strings.TrimPrefix(path.Str(), "/"), maxPath)
		}
	}
	w.texts("envoy.response_flags", e.flags.Names()...)
	switch {
	case e.failed:
		w.log.SetSeverityNumber(plog.SeverityNumberError)
		w.text("error.type", errorType(e.flags.Names(), grpc, w.code))
	case w.code >= 400 && w.code < 500:
		w.log.SetSeverityNumber(plog.SeverityNumberWarn)
	default:
		w.log.SetSeverityNumber(plog.SeverityNumberInfo)
	}
	w.log.SetSeverityText(strings.ToUpper(w.log.SeverityNumber().String()))
}

// errorType is the first flag that speaks of a failure, else the gRPC status, else the response code.
func errorType(flags []string, grpc code.Code, status uint32) string {
	for _, flag := range flags {
		if flag != "DI" && flag != "RFCF" {
			return flag
		}
	}
	switch {
	case grpc != code.Code_OK:
		return grpc.String()
	case status != 0:
		return strconv.FormatUint(uint64(status), 10)
	}
	return "_OTHER"
}

func splitAuthority(authority string) (host string, port uint64) {
	u := url.URL{Host: authority}
	port, _ = strconv.ParseUint(u.Port(), 10, 16)
	return u.Hostname(), port
}

// body is the line that Envoy's default text log has for the entry, but without the query, which is in url.query alone, and with
// what is not printable escaped.
func (w *recordWriter) body(c *accesslogdatav3.AccessLogCommon, e *waitingEntry) string {
	start, l := "-", &w.line
	if at := c.GetStartTime(); at.CheckValid() == nil {
		start = at.AsTime().Format("2006-01-02T15:04:05.000Z")
	}
	quote := func(s string) string { return strconv.Quote(shorten(dash(s), maxText)) }
	return fmt.Sprintf("[%s] %s %d %s %d %d %d %s %s %s %s %s %s", start, strconv.Quote(l.request), w.code, e.flags, l.received, l.sent,
		c.GetDuration().AsDuration().Milliseconds(), dash(l.serviceTime), quote(l.forwardedFor), quote(l.userAgent), quote(l.id),
		quote(l.authority), quote(joinAddress(c.GetUpstreamRemoteAddress())))
}
