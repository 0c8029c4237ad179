package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
)

func TestReadingOverHTTP(t *testing.T) {
	p := start(t, t.TempDir())
	p.mustExport(record("kept", time.Now(), map[string]any{"service.name": "cart"}, nil))
	p.eventually("kept", 1)
	f := func(method, path string, code int, want string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, p.Info.GetQueryUrl()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", "http://elsewhere.example")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != code || !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s %s: %s %.200q %v, want %d and %q", method, path, response.Status, body, err, code, want)
		}
	}
	f("GET", "/select/logsql/query?query=kept", 200, `"service.name":"cart"`)
	f("POST", "/select/logsql/hits?query=*&step=1h", 200, `"total":1`)
	f("GET", "/select/logsql/facets?query=*", 200, `"facets"`)
	f("GET", "/select/logsql/stats_query?query=*|count()n", 200, `"vector"`)
	f("GET", "/select/logsql/stats_query_range?query=*|count()n&step=1h", 200, `"matrix"`)
	f("GET", "/select/logsql/query_time_range?query=*", 200, ``)
	f("GET", "/select/logsql/field_names?query=*", 200, `"service.name"`)
	f("GET", "/select/logsql/field_values?query=*&field=service.name", 200, `"cart"`)
	f("GET", "/select/logsql/streams?query=*", 200, `cart`)
	f("GET", "/select/logsql/stream_ids?query=*", 200, `values`)
	f("GET", "/select/logsql/stream_field_names?query=*", 200, `service.name`)
	f("GET", "/select/logsql/stream_field_values?query=*&field=service.name", 200, `cart`)
	f("GET", "/select/vmui/", 200, `<html`)
	f("GET", "/select/buildinfo", 200, `version`)
	f("GET", "/select/logsql/query?query=(", 400, `query`)
	f("GET", "/health", 200, "OK")
	f("GET", "/metrics", 200, "lockkeeper_wal_bytes ")
	f("DELETE", "/select/logsql/query?query=kept", 405, "")
}

func TestTailFollows(t *testing.T) {
	p := start(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", p.Info.GetQueryUrl()+"/select/logsql/tail?offset=100ms&refresh_interval=100ms&query=followed", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	time.AfterFunc(200*time.Millisecond, func() { _ = p.export(record("followed", time.Now().Add(time.Second), nil, nil)) })
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, `"_msg":"followed"`) {
		t.Errorf("%q, %v", line, err)
	}
}

// Nothing writes, deletes or administers.
func TestOnlyReadingOverHTTP(t *testing.T) {
	p := start(t, t.TempDir())
	p.mustExport(record("kept", time.Now(), nil, nil))
	for _, prefix := range []string{"", "/select", "/select/vmui/..", "/"} {
		for _, path := range []string{
			"/delete/run_task?filter=*", "/delete/active_tasks", "/internal/delete/run_task?filter=*", "/internal/force_merge", "/internal/force_flush", "/internal/insert",
			"/internal/partition/detach?name=x", "/internal/partition/snapshot/create", "/internal/select/query", "/insert/jsonline", "/insert/opentelemetry/v1/logs",
			"/flags", "/config", "/-/reload", "/debug/pprof/heap", "/select/vmalert/x", "/select/tenant_ids",
		} {
			for _, method := range []string{"GET", "POST"} {
				u, err := url.Parse(p.Info.GetQueryUrl() + prefix + path)
				if err != nil {
					t.Fatal(err)
				}
				request := &http.Request{Method: method, URL: u, Header: http.Header{}, Host: u.Host}
				response, err := http.DefaultTransport.RoundTrip(request.WithContext(t.Context()))
				if err != nil {
					t.Fatal(err)
				}
				if _ = response.Body.Close(); response.StatusCode/100 == 2 {
					t.Errorf("%s %s: %s", method, u, response.Status)
				}
			}
		}
	}
	p.eventually("kept", 1)
}

func TestRefusesWhatItCannotHave(t *testing.T) {
	busy := t.TempDir()
	start(t, busy)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := func(config map[string]any, listen string, code codes.Code, want ...string) {
		t.Helper()
		p, err := storagetest.Launch(t, config, listen)
		if status.Code(err) != code {
			t.Fatalf("%v: %v, want %v\n%s", config, err, code, p.Log)
		}
		for _, text := range want {
			if message := status.Convert(err).Message(); !strings.Contains(message, text) || strings.Contains(message, "\n") {
				t.Errorf("%v: %q wants %q in one line", config, message, text)
			}
		}
	}
	f(map[string]any{"retention": "5", "memory_percent": 200, "nothing": 1}, "", codes.InvalidArgument, `"nothing"`)
	f(map[string]any{"retention": "5"}, "", codes.InvalidArgument, "data_directory: missing", `retention "5": has no unit`)
	f(map[string]any{"data_directory": busy}, "", codes.Unavailable, busy, "in use by another process; stop that one")
	f(map[string]any{"data_directory": t.TempDir()}, taken.Addr().String(), codes.Unavailable, "address already in use")
}

// What a replay finds and VictoriaLogs refuses is counted, and hides nothing that follows it.
func TestReplayLeavesOutWhatIsRefused(t *testing.T) {
	directory := t.TempDir()
	log, err := victoria.OpenLog(filepath.Join(directory, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	for kind, body := range map[victoria.Kind]string{victoria.OTLP: "garbage", victoria.RemoteWrite: "x", 3: "garbage"} {
		if err := log.Append(kind, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, directory)
	p.mustExport(record("kept", time.Now(), nil, nil))
	p.eventually("kept", 1)
	p.metric("lockkeeper_wal_replay_refused_total 3")
}
