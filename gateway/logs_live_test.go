package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Whatever was acknowledged to who sends logs is found, although the log storage is killed three times under load, and access
// logs of failed requests beside it. The console says so while it is away.
func TestKillingTheLogStorageLosesNoRecord(t *testing.T) {
	d := &durable{addresses: freeAddresses(t), data: t.TempDir()}
	d.configs = []string{"--config", d.config(t, needsPlugins(t))}
	d.run(t)
	failRequest(t, d.sink, "8f3c2e5a-1111-4222-8333-444455556666", map[string]string{"pinpoint-traceid": "agent-7^1^2"})
	stopRecords := sendRecords(t, d.grpc)
	for range 3 {
		time.Sleep(2 * time.Second)
		before := pluginOf(t, d.console, "victorialogs")
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		wait(t, "the log storage to be back", func() bool {
			now := pluginOf(t, d.console, "victorialogs")
			_, code := findLogs(t, d.console, "*")
			if code != http.StatusOK && code != http.StatusBadGateway {
				t.Fatalf("answer %d", code)
			}
			return now.State == "running" && now.PID != before.PID && code == http.StatusOK
		})
		t.Logf("back after %v", time.Since(killed))
	}
	acknowledged := stopRecords()
	if acknowledged == 0 {
		t.Fatal("nothing was acknowledged")
	}
	query := fmt.Sprintf(`{service.name="teller"} | stats count_uniq(n) found, count() stored | filter found:=%d`, acknowledged)
	var found []map[string]string
	wait(t, fmt.Sprintf("%d records", acknowledged), func() bool {
		found, _ = findLogs(t, d.console, query)
		return len(found) == 1
	})
	t.Logf("acknowledged %d, found %v", acknowledged, found)
	var failed []map[string]string
	wait(t, "the failed request", func() bool {
		failed, _ = findLogs(t, d.console, `request_id:="8f3c2e5a-1111-4222-8333-444455556666"`)
		return len(failed) > 0
	})
	for name, value := range map[string]string{
		"event_name": "envoy.access_log", "error.type": "UF", "destination_service": "cart.shop", "pinpoint.trace_id": "agent-7^1^2", "log_name": "source",
	} {
		if failed[0][name] != value {
			t.Errorf("%s: %q, want %q in %v", name, failed[0][name], value, failed[0])
		}
	}
}

// failRequest tells of a failed request as an Envoy does that logs these headers.
func failRequest(t *testing.T, sink, id string, headers map[string]string) {
	t.Helper()
	conn, err := grpc.NewClient(sink, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stream, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&accesslogv3.StreamAccessLogsMessage{
		Identifier: &accesslogv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: "sidecar~10.0.0.1~web-1.shop~shop"}, LogName: "source"},
		LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{
			LogEntry: []*accesslogdatav3.HTTPAccessLogEntry{{
				CommonProperties: &accesslogdatav3.AccessLogCommon{
					StartTime: timestamppb.Now(), AccessLogType: accesslogdatav3.AccessLogType_DownstreamEnd, UpstreamCluster: "outbound|80||cart.shop",
					ResponseFlags: &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true},
				},
				Request: &accesslogdatav3.HTTPRequestProperties{
					RequestId: id, Authority: "cart.shop", Path: "/pay", RequestHeaders: headers,
				},
				Response: &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(503)},
			}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sendRecords sends records by OTLP, numbered in their attribute n, until the returned func is called. It returns how many were
// acknowledged; each was sent again until it was.
func sendRecords(t *testing.T, address string) (stop func() int) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	acknowledged, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		client := plogotlp.NewGRPCClient(conn)
		for ctx.Err() == nil {
			l := plog.NewLogs()
			r := l.ResourceLogs().AppendEmpty()
			r.Resource().Attributes().PutStr("service.name", "teller")
			one := r.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
			one.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			one.Body().SetStr("told")
			one.Attributes().PutInt("n", int64(acknowledged))
			if _, err := client.Export(context.WithoutCancel(ctx), plogotlp.NewExportRequestFromLogs(l)); err == nil {
				acknowledged++
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return func() int {
		cancel()
		<-done
		_ = conn.Close()
		return acknowledged
	}
}

// findLogs asks the console.
func findLogs(t testing.TB, console, query string) (records []map[string]string, code int) {
	t.Helper()
	r, err := http.Get("http://" + console + "/logs/select/logsql/query?limit=1000&query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, http.StatusBadGateway // it was killed in the middle of its answer
	}
	if r.StatusCode != http.StatusOK {
		return nil, r.StatusCode
	}
	for line := range strings.Lines(string(body)) {
		var record map[string]string
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%s: %s", query, line)
		}
		records = append(records, record)
	}
	return records, r.StatusCode
}
