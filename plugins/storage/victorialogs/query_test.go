package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// world is what the README's queries are run on: requests as the receiver envoy records them, and what applications logged.
func world(now time.Time) plog.Logs {
	l := plog.NewLogs()
	resource := func(attributes map[string]any) plog.ResourceLogs {
		r := l.ResourceLogs().AppendEmpty()
		_ = r.Resource().Attributes().FromRaw(attributes)
		return r
	}
	n := 0
	write := func(to plog.ResourceLogs, body string, severity plog.SeverityNumber, attributes map[string]any) plog.LogRecord {
		n++
		record := add(to, body, now.Add(-time.Duration(n)*time.Millisecond), attributes)
		record.SetSeverityNumber(severity)
		return record
	}
	web := resource(map[string]any{"service.name": "web", "service.version": "v1", "idc": "idc1", "gateway": "gw1", "log_name": "source", "container.id": "000000000000"})
	failed := write(web, "GET /pay 503 UF,URX", plog.SeverityNumberError, map[string]any{
		"request_id": "8f3c2e5a-1111-4222-8333-444455556666", "source_app": "web", "destination_app": "cart", "destination_version": "v2", "error.type": "UF",
		"envoy.response_flags": []any{"UF", "URX"}, "envoy.duration_ms": 1500.5, "envoy.stream_id": "s1", "pinpoint.trace_id": "agent-7^1764000000000^42",
	})
	failed.SetEventName("envoy.access_log")
	failed.SetTraceID(pcommon.TraceID{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36})
	write(web, "GET /pay 200 -", plog.SeverityNumberInfo, map[string]any{
		"request_id": "8f3c2e5a-1111-4222-8333-444455556667", "source_app": "web", "destination_app": "cart", "destination_version": "v1", "envoy.duration_ms": 2.0, "envoy.stream_id": "s2",
	}).SetEventName("envoy.access_log")
	old := resource(map[string]any{"service.name": "cart", "service.version": "v1", "idc": "idc1", "deployment.id": "cart-2026-11-01-a", "container.id": "111111111111"})
	write(old, "timeout after 17 ms", plog.SeverityNumberError, nil).SetSeverityText("error") // in the words of its language
	write(old, "started", plog.SeverityNumberInfo, nil)
	fresh := resource(map[string]any{"service.name": "cart", "service.version": "v2", "idc": "idc1", "deployment.id": "cart-2026-11-22-b", "container.id": "4f5d1c0a9e77"})
	write(fresh, "timeout after 2345 ms", plog.SeverityNumberError, nil)
	declined := write(fresh, "card declined: order 99", plog.SeverityNumberFatal, nil)
	declined.SetSeverityText("CRITICAL")
	declined.SetTraceID(failed.TraceID())
	return l
}

// Each query of the README finds what it is for, and nothing else.
func TestQueriesOfTheReadme(t *testing.T) {
	p := start(t, t.TempDir())
	p.mustExport(world(time.Now()))
	p.eventually("*", 6)
	queries := readmeQueries(t)
	f := func(what string, want ...string) {
		t.Helper()
		query, ok := queries[what]
		if !ok {
			t.Errorf("the README has no query for %q", what)
			return
		}
		delete(queries, what)
		var got []string
		for _, r := range p.find(query) {
			got = append(got, strings.TrimSpace(r["_msg"]+" "+r["new"]+r["failures"]))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s:\ngot  %q\nwant %q", what, query, got, want)
		}
	}
	const failed, good = "GET /pay 503 UF,URX", "GET /pay 200 -"
	const slowOld, started, slowNew, declined = "timeout after 17 ms", "started", "timeout after 2345 ms", "card declined: order 99"
	f("a request, at all its hops", failed)
	f("a trace, W3C or B3: requests and what applications logged meanwhile", failed, declined)
	f("a trace, PinPoint", failed)
	f("a service", slowOld, started, slowNew, declined)
	f("a service by version and site", slowNew, declined)
	f("a deployment", slowNew, declined)
	f("a container", slowNew, declined)
	f("a gateway's records", failed, good)
	f("failing requests of an edge", failed)
	f("failing requests with a flag", failed)
	f("any of an entry's flags", failed)
	f("errors of applications", slowOld, slowNew, declined)
	f("a text in what was logged", declined)
	f("errors that only the new deployment has, by what was logged", "card declined: order <N> 1")
	f("failures by version: of requests", "1")
	f("slow requests", failed)
	f("each record once, where a crash has stored some twice", slowOld, started, slowNew, declined)
	for what, query := range queries {
		t.Errorf("not tried: %s: %s", what, query)
	}
}

// Doubles are told by the README's query.
func TestDoublesAreTold(t *testing.T) {
	p := start(t, t.TempDir())
	l := world(time.Now())
	p.mustExport(l)
	p.mustExport(l)
	p.eventually(`{service.name="cart"}`, 8)
	p.eventually(readmeQueries(t)["each record once, where a crash has stored some twice"], 4)
}

func TestWhatARecordBecomes(t *testing.T) {
	p := start(t, t.TempDir())
	now := time.Now()
	l := plog.NewLogs()
	r := l.ResourceLogs().AppendEmpty()
	_ = r.Resource().Attributes().FromRaw(map[string]any{"service.name": "cart", "service.version": "v1", "idc": "idc1", "host.name": "h1", "both": "resource"})
	one := add(r, "", now, map[string]any{
		"both": "record", "service.name": "liar", "_time": "1970-01-01", "_stream": "{a=\"b\"}", "trace_id": "mine", "": "empty", "n": 5, "yes": true, "x": 1.5,
		"map": map[string]any{"a": "1", "b": map[string]any{"c": "2"}}, "list": []any{"a", "b"}, "none": "",
	})
	one.Body().SetEmptyMap().PutStr("k", "v")
	one.SetSeverityNumber(plog.SeverityNumberWarn)
	one.SetTraceID(pcommon.TraceID{1})
	one.SetSpanID(pcommon.SpanID{2})
	r.ScopeLogs().At(0).Scope().SetName("some.library")
	p.mustExport(l)
	got := p.eventually("*", 1)[0]
	delete(got, "_stream_id")
	want := map[string]string{
		"_msg": `{"k":"v"}`, "_time": now.UTC().Format("2006-01-02T15:04:05.999999999Z"), "_stream": `{idc="idc1",service.name="cart",service.version="v1"}`,
		"service.name": "cart", "service.version": "v1", "idc": "idc1", "host.name": "h1", "both": "record", "attributes.service.name": "liar",
		"attributes._time": "1970-01-01", "attributes._stream": `{a="b"}`, "attributes.trace_id": "mine", "other_attributes": `{"":"empty"}`,
		"n": "5", "yes": "true", "x": "1.5", "map.a": "1", "map.b.c": "2", "list": `["a","b"]`, "severity_text": "WARN", "scope.name": "some.library",
		"trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
