package mesh

import (
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	connected = accesslogdatav3.AccessLogType_TcpUpstreamConnected
	periodic  = accesslogdatav3.AccessLogType_TcpPeriodic
	ended     = accesslogdatav3.AccessLogType_TcpConnectionEnd
)

// connectionEntry is what Envoy logs of connection id at a point of its life.
func connectionEntry(id string, at accesslogdatav3.AccessLogType, started time.Time, received, sent uint64) *accesslogdatav3.TCPAccessLogEntry {
	return &accesslogdatav3.TCPAccessLogEntry{
		CommonProperties: &accesslogdatav3.AccessLogCommon{
			UpstreamCluster: "outbound|5432||db.default.svc.cluster.local", UpstreamRemoteAddress: socket("10.0.0.9", 5432),
			StreamId: id, StartTime: timestamppb.New(started), AccessLogType: at,
		},
		ConnectionProperties: &accesslogdatav3.ConnectionProperties{ReceivedBytes: received, SentBytes: sent},
	}
}

func tcpMessage(t *testing.T, entries ...*accesslogdatav3.TCPAccessLogEntry) []byte {
	t.Helper()
	return marshal(t, &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_TcpLogs{
		TcpLogs: &accesslogv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: entries},
	}})
}

// countConnections has a gateway, which began at start, read each message by a stream of its own.
func countConnections(t *testing.T, start time.Time, limit int, messages ...[]byte) (*Aggregator, traffic) {
	t.Helper()
	a := New(Options{}, start)
	a.connections.max = limit
	for _, m := range messages {
		s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web", "version", "v1"))
		if err := s.Add(m); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	var sum traffic
	for _, s := range flush(t, a, start.Add(5*time.Second)) {
		if !s.TCP {
			t.Errorf("%v is not of TCP", s.Labels)
		}
		sum.opened += uint32(s.Opened)
		sum.closed += uint32(s.Requests)
		sum.received += s.Received
		sum.sent += s.Sent
	}
	return a, sum
}

func TestConnectionsCountOnce(t *testing.T) {
	start := time.Unix(1700000000, 0)
	before, after := start.Add(-time.Hour), start.Add(time.Second)
	f := func(what string, limit int, want traffic, messages ...[]byte) {
		t.Helper()
		if _, got := countConnections(t, start, limit, messages...); got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	begin := tcpMessage(t, connectionEntry("a", connected, after, 0, 0))
	one := tcpMessage(t, connectionEntry("a", periodic, after, 10, 100))
	two := tcpMessage(t, connectionEntry("a", periodic, after, 15, 150))
	end := tcpMessage(t, connectionEntry("a", ended, after, 20, 200))
	once := traffic{1, 1, 20, 200}

	f("only the end", 9, once, end)
	f("connected and ended", 9, once, begin, end)
	f("all entries, each by a stream of its own", 9, once, begin, one, two, end)
	f("the same entry twice", 9, once, begin, one, one, end)
	f("entries that overtake one another", 9, once, two, one, begin, end, two)
	f("the end twice, after others", 9, once, one, end, end)
	f("still open", 9, traffic{1, 0, 15, 150}, begin, one, two)
	f("no room for it", 0, once, begin, one, two, end)
	f("two connections", 9, traffic{2, 2, 40, 400}, begin, end, tcpMessage(t, connectionEntry("b", ended, after, 20, 200)))
	f("older than the gateway, first met open", 9, traffic{0, 1, 10, 100},
		tcpMessage(t, connectionEntry("a", periodic, before, 10, 100)), tcpMessage(t, connectionEntry("a", ended, before, 20, 200)))
	f("older than the gateway, only its end", 9, once, tcpMessage(t, connectionEntry("a", ended, before, 20, 200)))
	f("intermediate entries without a stream id", 9, once,
		tcpMessage(t, connectionEntry("", periodic, after, 10, 100)), tcpMessage(t, connectionEntry("", ended, after, 20, 200)))
	udp := connectionEntry("u", accesslogdatav3.AccessLogType_UdpSessionEnd, after, 5, 5)
	accepted := connectionEntry("a", accesslogdatav3.AccessLogType_TcpConnectionStart, after, 0, 0)
	f("UDP, and a connection without upstream yet", 9, traffic{}, tcpMessage(t, udp, accepted))
	wire := connectionEntry("w", ended, after, 0, 0)
	wire.ConnectionProperties = nil
	wire.CommonProperties.DownstreamWireBytesReceived, wire.CommonProperties.DownstreamWireBytesSent = 7, 8
	f("no connection properties", 9, traffic{1, 1, 7, 8}, tcpMessage(t, wire))

	a, _ := countConnections(t, start, 0, begin, one, end, tcpMessage(t, udp))
	if got := a.Totals(); got.Untracked != 2 || got.All.Counted != 1 || got.All.Intermediate != 2 || got.All.UDP != 1 {
		t.Errorf("got %+v, want 2 untracked, 1 counted, 2 intermediate, 1 of UDP", got)
	}
}

func TestConnectionsAreForgotten(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a, _ := countConnections(t, start, 9,
		tcpMessage(t, connectionEntry("quiet", connected, start, 0, 0)),
		tcpMessage(t, connectionEntry("periodic", periodic, start, 1, 1)),
		tcpMessage(t, connectionEntry("over", connected, start, 0, 0), connectionEntry("over", ended, start, 1, 1)))
	f := func(after time.Duration, want int) {
		t.Helper()
		flush(t, a, start.Add(after))
		if got := len(a.connections.known); got != want {
			t.Errorf("after %v: %d connections are known, want %d", after, got, want)
		}
	}
	f(time.Minute, 3)
	f(3*time.Minute, 2)
	f(20*time.Minute, 1)
	f(25*time.Hour, 0)
}

func TestConnectionLabels(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a := New(Options{}, start)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web", "version", "v1"))
	failed := connectionEntry("a", ended, start, 0, 0)
	failed.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true, UpstreamRetryLimitExceeded: true}
	if err := s.Add(tcpMessage(t, failed)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	got := flush(t, a, start)
	if len(got) != 1 {
		t.Fatalf("%d series, want one", len(got))
	}
	for name, want := range map[string]string{
		"reporter": "source", "source_app": "web", "destination_service_name": "db", "request_protocol": "tcp", "response_flags": "UF,URX",
		"response_code": "", "grpc_response_status": "", "connection_security_policy": "unknown",
	} {
		if got := label(got[0], name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if edges := a.Edges(start); len(edges) != 1 || edges[0].Protocol != "tcp" || edges[0].Errors != 1 || edges[0].Flags["UF"] != 1 {
		t.Errorf("got %+v, want one failed TCP edge", edges)
	}
}

func TestConnectionsBeyondTheBoundCountAsOther(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a := New(Options{MaxSeries: 1}, start)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x"))
	if err := s.Add(message(t, request(nil))); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(tcpMessage(t, connectionEntry("a", ended, start, 1, 2))); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, s := range flush(t, a, start) {
		if other := label(s, "destination_service") == Other; s.TCP != other || s.Requests != 1 || label(s, "request_protocol") == "tcp" != other {
			t.Errorf("got %+v", s)
		}
	}
}
