package main

import (
	"bufio"
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
)

func TestReadingOverHTTP(t *testing.T) {
	p := start(t, t.TempDir())
	p.mustExport(record("kept", time.Now(), map[string]any{"service.name": "cart"}, nil))
	p.eventually("kept", 1)
	f := p.Answers
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
	p.Lacks([]string{"", "/select", "/select/vmui/..", "/"}, []string{
		"/delete/run_task?filter=*", "/delete/active_tasks", "/internal/delete/run_task?filter=*", "/internal/force_merge", "/internal/force_flush", "/internal/insert",
		"/internal/partition/detach?name=x", "/internal/partition/snapshot/create", "/internal/select/query", "/insert/jsonline", "/insert/opentelemetry/v1/logs",
		"/flags", "/config", "/-/reload", "/debug/pprof/heap", "/select/vmalert/x", "/select/tenant_ids",
	})
	p.eventually("kept", 1)
}

func TestRefusesAWrongConfiguration(t *testing.T) { storagetest.RefusesMistakes(t) }

func TestRefusesWhatItCannotHave(t *testing.T) {
	storagetest.RefusesWhatItCannotHave(t, "VictoriaLogs")
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
