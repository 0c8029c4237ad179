package envoy

import (
	"crypto/tls"
	"net"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// common writes what HTTP and TCP entries have in common.
func (w *recordWriter) common(c *accesslogdatav3.AccessLogCommon) {
	w.times(c)
	w.address("client", c.GetDownstreamRemoteAddress())
	w.address("network.peer", c.GetDownstreamDirectRemoteAddress())
	w.address("network.local", c.GetDownstreamLocalAddress())
	w.text("envoy.upstream_remote_address", joinAddress(c.GetUpstreamRemoteAddress()))
	w.text("envoy.upstream_local_address", joinAddress(c.GetUpstreamLocalAddress()))
	w.text("envoy.upstream_cluster", c.GetUpstreamCluster())
	w.text("envoy.route_name", c.GetRouteName())
	w.text("envoy.stream_id", c.GetStreamId())
	w.text("envoy.access_log_type", c.GetAccessLogType().String())
	w.text("envoy.upstream_transport_failure_reason", c.GetUpstreamTransportFailureReason())
	w.text("envoy.downstream_transport_failure_reason", c.GetDownstreamTransportFailureReason())
	w.text("envoy.connection_termination_details", c.GetConnectionTerminationDetails())
	w.number("envoy.upstream_request_attempt_count", uint64(c.GetUpstreamRequestAttemptCount()))
	w.number("envoy.downstream_wire_bytes_sent", c.GetDownstreamWireBytesSent())
	w.number("envoy.downstream_wire_bytes_received", c.GetDownstreamWireBytesReceived())
	w.number("envoy.upstream_wire_bytes_sent", c.GetUpstreamWireBytesSent())
	w.number("envoy.upstream_wire_bytes_received", c.GetUpstreamWireBytesReceived())
	w.tls(c.GetTlsProperties())
	w.tags(c.GetCustomTags())
}

// times sets the record's time, the end of the request, and writes how long its parts took.
func (w *recordWriter) times(c *accesslogdatav3.AccessLogCommon) {
	if start := c.GetStartTime(); start.CheckValid() == nil {
		end := start.AsTime()
		if c.GetDuration().CheckValid() == nil {
			end = end.Add(c.GetDuration().AsDuration())
		}
		if end.After(time.Unix(0, 0)) && end.Year() < 2262 { // what fits into OTLP's nanoseconds
			w.log.SetTimestamp(pcommon.NewTimestampFromTime(end))
		}
	}
	w.milliseconds("envoy.duration_ms", c.GetDuration())
	w.milliseconds("envoy.time_to_last_rx_byte_ms", c.GetTimeToLastRxByte())
	w.milliseconds("envoy.time_to_first_upstream_tx_byte_ms", c.GetTimeToFirstUpstreamTxByte())
	w.milliseconds("envoy.time_to_last_upstream_tx_byte_ms", c.GetTimeToLastUpstreamTxByte())
	w.milliseconds("envoy.time_to_first_upstream_rx_byte_ms", c.GetTimeToFirstUpstreamRxByte())
	w.milliseconds("envoy.time_to_last_upstream_rx_byte_ms", c.GetTimeToLastUpstreamRxByte())
	w.milliseconds("envoy.time_to_first_downstream_tx_byte_ms", c.GetTimeToFirstDownstreamTxByte())
	w.milliseconds("envoy.time_to_last_downstream_tx_byte_ms", c.GetTimeToLastDownstreamTxByte())
}

// tls writes the properties of the downstream connection.
func (w *recordWriter) tls(t *accesslogdatav3.TLSProperties) {
	if t == nil {
		return
	}
	if version := t.GetTlsVersion(); version != accesslogdatav3.TLSProperties_VERSION_UNSPECIFIED {
		w.text("tls.protocol.name", "tls")
		w.text("tls.protocol.version", [...]string{"", "1.0", "1.1", "1.2", "1.3"}[max(0, min(version, 4))])
	}
	if cipher := t.GetTlsCipherSuite().GetValue(); cipher > 0 && cipher <= 0xffff {
		w.text("tls.cipher", tls.CipherSuiteName(uint16(cipher)))
	}
	w.text("envoy.tls_sni_hostname", t.GetTlsSniHostname())
	w.text("tls.server.subject", t.GetLocalCertificateProperties().GetSubject())
	w.text("tls.client.subject", t.GetPeerCertificateProperties().GetSubject())
	w.text("tls.client.issuer", t.GetPeerCertificateProperties().GetIssuer())
}

func (w *recordWriter) address(name string, a *corev3.Address) {
	host, port := splitAddress(a)
	w.text(name+".address", host)
	w.number(name+".port", uint64(port))
}

// splitAddress returns an IP and a port, or the path or name of a listener that has none.
func splitAddress(a *corev3.Address) (host string, port uint32) {
	if socket := a.GetSocketAddress(); socket != nil {
		return socket.GetAddress(), socket.GetPortValue()
	}
	if pipe := a.GetPipe(); pipe != nil {
		return pipe.GetPath(), 0
	}
	return a.GetEnvoyInternalAddress().GetServerListenerName(), 0
}

func joinAddress(a *corev3.Address) string {
	host, port := splitAddress(a)
	if port == 0 {
		return host
	}
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}

// dash stands for what an entry does not have, as in Envoy's text log.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
