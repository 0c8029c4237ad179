package mesh

import (
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
)

// Envoy counts every entry that it writes, so every entry counts as received: also one that is not final, or unreadable.
func TestEveryEntryIsReceived(t *testing.T) {
	now := time.Now()
	a := New(Options{}, now)
	web := node(t, "sidecar~10.0.0.1~web-1.default~x")
	f := func(http, tcp uint64, streams int) {
		t.Helper()
		if h, c := a.Received(web.ID); h != http || c != tcp {
			t.Errorf("received %d HTTP and %d TCP, want %d and %d", h, c, http, tcp)
		}
		if s := a.Sources()[web.ID]; s.HTTP != http || s.TCP != tcp || s.Streams != streams {
			t.Errorf("got %+v, want %d HTTP, %d TCP, %d streams", s, http, tcp, streams)
		}
	}
	f(0, 0, 0)
	first, second := a.Open(web), a.Open(web)
	upstream := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.AccessLogType = accesslogdatav3.AccessLogType_UpstreamEnd
	})
	if err := first.Add(message(t, request(nil), upstream)); err != nil {
		t.Fatal(err)
	}
	if err := second.Add([]byte{2<<3 | length, 4, 1<<3 | length, 2, 2<<3 | length, 9}); err != nil { // one entry, malformed
		t.Fatal(err)
	}
	tcp := marshal(t, &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_TcpLogs{
		TcpLogs: &accesslogv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: []*accesslogdatav3.TCPAccessLogEntry{{}, {}}},
	}})
	if err := second.Add(tcp); err != nil {
		t.Fatal(err)
	}
	f(3, 2, 2)
	first.Close()
	f(3, 2, 1)
	second.Close()
	f(3, 2, 0)
	flush(t, a, now.Add(14*time.Minute))
	f(3, 2, 0)
	flush(t, a, now.Add(16*time.Minute)) // the idle time is over
	f(0, 0, 0)
}
