package main

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/prompb"
	"github.com/golang/snappy"
)

// withOneSample is a process that has the series kept_total{app="cart"}.
func withOneSample(t *testing.T) *process {
	t.Helper()
	p := start(t, t.TempDir())
	p.mustExport(counter("kept_total", time.Now(), 1, map[string]any{"app": "cart"}))
	p.eventually(`kept_total`, 1)
	return p
}

func TestReadingOverHTTP(t *testing.T) {
	p := withOneSample(t)
	f := p.Answers
	// the query API, plain and below /prometheus
	for _, prefix := range []string{"", "/prometheus"} {
		f("GET", prefix+"/api/v1/query?query=kept_total", 200, `"app":"cart"`)
		f("POST", prefix+"/api/v1/query_range?query=kept_total", 200, `"matrix"`)
		f("GET", prefix+"/api/v1/series?match[]=kept_total", 200, `"cart"`)
		f("GET", prefix+"/api/v1/labels", 200, `"app"`)
		f("GET", prefix+"/api/v1/label/app/values", 200, `"cart"`)
		f("GET", prefix+"/api/v1/metadata", 200, `"kept_total"`)
		f("GET", prefix+"/api/v1/status/tsdb", 200, `"kept_total"`)
		f("GET", prefix+"/api/v1/status/buildinfo", 200, `version`)
		f("GET", prefix+"/vmui/", 200, `<html`)
		f("GET", prefix+"/vmui/config.json", 200, `version`)
	}
	f("GET", "/health", 200, "OK")
	f("GET", "/metrics", 200, "lockkeeper_wal_bytes ")
	f("DELETE", "/api/v1/query?query=kept_total", 405, "")
	f("GET", "/api/v1/write", 404, "")
}

// Nothing deletes, administers or writes in another way than remote write.
func TestOnlyReadingOverHTTP(t *testing.T) {
	p := withOneSample(t)
	p.Lacks([]string{"", "/prometheus", "/prometheus/prometheus", "/vmui/..", "/"}, []string{
		"/api/v1/admin/tsdb/delete_series?match[]=kept_total", "/api/v1/admin/tsdb/snapshot", "/snapshot/create", "/snapshot/delete_all",
		"/internal/force_merge", "/internal/force_flush", "/internal/resetRollupResultCache", "/tags/delSeries",
		"/api/v1/admin/status/metric_names_stats/reset", "/api/v1/import/prometheus", "/opentelemetry/v1/metrics", "/write",
		"/flags", "/config", "/-/reload", "/debug/pprof/heap", "/vmalert/",
	})
	p.eventually(`kept_total`, 1)
}

func TestRemoteWriteSurvivesAKill(t *testing.T) {
	directory := t.TempDir()
	p := start(t, directory)
	write := func(body []byte) int {
		t.Helper()
		response, err := http.Post(p.Info.GetRemoteWriteUrl(), "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	request := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: "ALERTS"}, {Name: "alertstate", Value: "firing"}},
		Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: 1}},
	}}}
	if code := write(snappy.Encode(nil, request.MarshalProtobuf(nil))); code != http.StatusNoContent {
		t.Errorf("got %d", code)
	}
	if code := write([]byte("garbage")); code != http.StatusBadRequest {
		t.Errorf("garbage: got %d", code)
	}
	p.Kill()
	p = start(t, directory)
	p.eventually(`ALERTS{alertstate="firing"}`, 1)
}
