package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
)

// accessLogs is a request with n records as the receiver envoy makes them, of requests first, first+1 and so on.
func accessLogs(first, n int, now time.Time) plog.Logs {
	l := plog.NewLogs()
	for app := range min(n, 20) {
		r := l.ResourceLogs().AppendEmpty()
		_ = r.Resource().Attributes().FromRaw(map[string]any{
			"service.name": fmt.Sprintf("app-%d", app), "service.version": "v" + strconv.Itoa(first/1000%3), "service.namespace": "shop", "idc": fmt.Sprintf("idc%d", app%2+1),
			"service.instance.id": fmt.Sprintf("sidecar~10.0.%d.7~app-%d-5d4f8c~shop", app, app), "log_name": "source", "gateway": "gw1", "deployment.id": "d-" + strconv.Itoa(first/1000%3),
			"container.id": fmt.Sprintf("%012x", app), "k8s.pod.name": fmt.Sprintf("app-%d-5d4f8c", app), "k8s.node.name": "node-7",
		})
		for i := first + app; i < first+n; i += 20 {
			request := strconv.FormatUint(uint64(i)*0x9E3779B97F4A7C15, 16)
			one := add(r, fmt.Sprintf("[%s] \"GET /orders/%d HTTP/1.1\" 503 UF,URX 0 91 %d - \"-\" \"okhttp/4.12\" %q \"cart.shop\" \"10.1.2.3:8080\"", now.Format(time.RFC3339Nano), i%5000, i%300, request),
				now.Add(-time.Duration(i%60_000)*time.Millisecond), map[string]any{
					"request_id": request, "reporter": "source", "source_app": fmt.Sprintf("app-%d", app), "source_version": "v1", "destination_app": fmt.Sprintf("app-%d", (app+1)%20),
					"destination_version": "v2", "destination_service": "cart.shop.svc.cluster.local", "destination_workload": "cart-v2", "destination_workload_namespace": "shop",
					"response_code": "503", "response_flags": "UF,URX", "request_protocol": "http", "connection_security_policy": "mutual_tls", "error.type": "UF",
					"http.request.method": "GET", "url.path": fmt.Sprintf("/orders/%d", i%5000), "server.address": "cart.shop", "server.port": 8080, "user_agent.original": "okhttp/4.12",
					"network.protocol.name": "http", "network.protocol.version": "1.1", "http.response.status_code": 503, "http.response.body.size": 91, "client.address": fmt.Sprintf("10.2.%d.%d", i%256, i%251),
					"client.port": 1024 + i%60000, "envoy.upstream_cluster": "outbound|8080|v2|cart.shop.svc.cluster.local", "envoy.route_name": "default", "envoy.response_code_details": "upstream_reset_before_response_started",
					"envoy.duration_ms": float64(i % 300), "envoy.response_flags": []any{"UF", "URX"}, "envoy.upstream_remote_address": "10.1.2.3:8080", "envoy.stream_id": request + "-s",
				})
			one.SetSeverityNumber(plog.SeverityNumberError)
			one.SetEventName("envoy.access_log")
			one.SetTraceID([16]byte{byte(i), byte(i >> 8), byte(i >> 16), 7})
		}
	}
	return l
}

// A request is found among LOCKKEEPER_TEST_RECORDS others, 30,000 unless it is set: of a million within a second is asked for. The figures
// go to the log; only what is far beyond fails.
func TestFindARequestAmongMany(t *testing.T) {
	records := 30_000
	if text := os.Getenv("LOCKKEEPER_TEST_RECORDS"); text != "" {
		var err error
		if records, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	directory := t.TempDir()
	p := start(t, directory)
	began, now := time.Now(), time.Now()
	const batch = 1000
	var sent, size atomic.Int64
	var senders sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			for first := int(sent.Add(batch)) - batch; first < records; first = int(sent.Add(batch)) - batch {
				request, err := plogotlp.NewExportRequestFromLogs(accessLogs(first, batch, now)).MarshalProto()
				if err == nil {
					err = p.Export(t.Context(), storagetest.ExportLogs, request)
				}
				if err != nil {
					t.Error(err)
					return
				}
				size.Add(int64(len(request)))
			}
		})
	}
	senders.Wait()
	took := time.Since(began)
	t.Logf("%d records, %d MB of OTLP, stored in %v: %.0f a second; CPU of the plugin %v", records, size.Load()>>20, took, float64(records)/took.Seconds(), cpuOf(t, p.Command.Process.Pid))
	p.eventually(fmt.Sprintf("* | stats count() n | filter n:=%d", records), 1)
	find := func(when string) {
		for _, i := range []int{1, records / 2, records - 1} {
			request := strconv.FormatUint(uint64(i)*0x9E3779B97F4A7C15, 16)
			for _, query := range []string{fmt.Sprintf("request_id:=%q", request), fmt.Sprintf("_time:1h request_id:=%q | sort by (_time desc) | limit 20", request)} {
				began := time.Now()
				if found := p.find(query); len(found) == 0 || !strings.Contains(found[0]["_msg"], request) {
					t.Errorf("%s: %v", query, found)
				}
				took := time.Since(began)
				t.Logf("%s: found in %v: %s", when, took, query)
				if took > 20*time.Second {
					t.Errorf("found after %v", took)
				}
			}
		}
	}
	find("at once")
	p.Kill()
	p = start(t, directory)
	t.Logf("back after %v", p.Took)
	p.eventually(fmt.Sprintf("* | stats count() n, count_uniq(request_id) ids | filter ids:=%d", records), 1)
	find("after a kill")
	t.Logf("%v", p.find("* | stats count() stored")) // with the doubles of the replay
}

// cpuOf is the CPU time that a process has used.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+2:])
	user, _ := strconv.Atoi(string(fields[11]))
	system, _ := strconv.Atoi(string(fields[12]))
	return time.Duration(user+system) * 10 * time.Millisecond
}
