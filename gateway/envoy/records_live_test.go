package envoy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
)

// A real Envoy's requests become records: with the trace, the configured header and the query where they belong; also what no
// upstream was found for, and a connection. Bytes that are not UTF-8 come from Envoy as valid text.
func TestLiveEnvoysRecords(t *testing.T) {
	sink := &consumertest.LogsSink{}
	r, _ := newRecording(t, func(c *Config) {
		c.NetAddr.Endpoint, c.FlushInterval = freeAddress(t), 100*time.Millisecond
		c.RecordAttributes = map[string]AttributeConfig{"deployment.id": {Header: "X-Deployment-Id"}, "service.id": {Tag: "route_service"}}
	})
	r.nextLogs = sink
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { _ = r.Shutdown(context.Background()) })
	e := &liveEnvoy{
		t: t, number: 40, common: object{"buffer_flush_interval": "0.1s"},
		logs: object{"additional_request_headers_to_log": list{"traceparent", "x-deployment-id", "x-bytes"}},
	}
	e.start(r.config.NetAddr.Endpoint, application(t))

	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	require.Equal(t, 200, e.ask("/app/a?secret=1", "traceparent", "00-"+trace+"-"+span+"-01", "x-deployment-id", "d7"))
	require.Equal(t, 503, e.ask("/none"))
	conn, err := net.Dial("tcp", e.listen)
	require.NoError(t, err)
	_, err = fmt.Fprint(conn, "GET /ok HTTP/1.1\r\nhost: a\r\nx-bytes: a\xff\r\nuser-agent: b\xc3\r\n\r\n")
	require.NoError(t, err)
	_, err = bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	if conn, err = net.Dial("tcp", e.tcp); err == nil {
		_ = conn.Close()
	}

	e.until("four records", func() bool { return sink.LogRecordCount() >= 4 })
	require.Zero(t, r.unreadable.Load())
	records := map[any]plog.LogRecord{}
	for _, logs := range sink.AllLogs() {
		for _, resource := range logs.ResourceLogs().All() {
			for _, record := range resource.ScopeLogs().At(0).LogRecords().All() {
				records[raw(t, record, "envoy.route_name")] = record
			}
		}
	}
	asked := records["app"]
	require.Equal(t, []any{trace, span, plog.LogRecordFlags(1)}, []any{asked.TraceID().String(), asked.SpanID().String(), asked.Flags()})
	require.Equal(t, []any{"/app/a", "secret=1", "/rewritten/a?secret=1", "d7", "route of /app/"}, []any{
		raw(t, asked, "url.path"), raw(t, asked, "url.query"), raw(t, asked, "envoy.path"), raw(t, asked, "deployment.id"), raw(t, asked, "service.id"),
	})
	require.Equal(t, []any{"UH", []any{"UH"}}, []any{raw(t, records["none"], "error.type"), raw(t, records["none"], "envoy.response_flags")})
	require.Equal(t, []any{"b!", []any{"a!"}}, []any{raw(t, records["ok"], "user_agent.original"), raw(t, records["ok"], "http.request.header.x-bytes")})
	require.Equal(t, "tcp", raw(t, records[nil], "network.transport"))
}
