package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
)

// metric tells whether a line is on the page of metrics.
func (p *process) metric(line string) {
	p.t.Helper()
	if page := "\n" + string(p.Get("/metrics")); !strings.Contains(page, "\n"+line+"\n") {
		at := strings.Index(page, "\n"+strings.Fields(line)[0]+" ")
		p.t.Errorf("no %q but %.100q", line, page[max(at, 0):])
	}
}

func TestHugeRecordIsCut(t *testing.T) {
	p := start(t, t.TempDir())
	p.mustExport(record(strings.Repeat("x", 3<<20), time.Now(), nil, map[string]any{"long": strings.Repeat("€", 1<<20), "short": "kept"}))
	got := p.eventually("short:=kept", 1)[0]
	if len(got["_msg"]) != maxBody || !strings.HasSuffix(got["_msg"], "x…") {
		t.Errorf("body of %d bytes", len(got["_msg"]))
	}
	if long := got["long"]; len(long) > maxValue || !strings.HasSuffix(long, "€…") {
		t.Errorf("attribute of %d bytes", len(long))
	}
	p.metric(`lockkeeper_logs_changed_total{what="cut"} 1`)
}

func TestBytesThatAreNoText(t *testing.T) {
	p := start(t, t.TempDir())
	agent := "Mozilla\xff\xfe<script>alert(1)</script>\x00\x1b[31m\r\n\"}) | delete"
	p.mustExport(record("a\xffb", time.Now(), map[string]any{"service.name": "sh\xffop\"}"}, map[string]any{"user_agent.original": agent, "n\xffame": "odd"}))
	got := p.eventually("*", 1)[0]
	want := map[string]string{"_msg": "a\uFFFDb", "service.name": "sh\uFFFDop\"}", "user_agent.original": strings.ToValidUTF8(agent, "\uFFFD"), "other_attributes": `{"n\ufffdame":"odd"}`}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %q, want %q", name, got[name], value)
		}
	}
	p.eventually(`user_agent.original:"<script>"`, 1)
}

func TestTimes(t *testing.T) {
	p := start(t, t.TempDir())
	now := time.Now()
	f := func(body string, at, observed time.Time) {
		t.Helper()
		l := record(body, at, nil, nil)
		one := l.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		if at.IsZero() {
			one.SetTimestamp(0)
		}
		if !observed.IsZero() {
			one.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
		}
		p.mustExport(l)
	}
	none := time.Time{}
	f("without", none, none)
	f("observed", none, now.Add(-time.Hour))
	f("ahead", now.Add(48*time.Hour), none)
	f("late", now.Add(-6*24*time.Hour), none)
	f("far", time.Unix(0, 1<<62), none)
	f("old", now.Add(-8*24*time.Hour), none)
	p.eventually("_time:5m", 3) // without, ahead, far
	p.eventually("_time:2h", 4)
	p.eventually("*", 5)
	p.metric(`lockkeeper_logs_changed_total{what="time"} 2`)
	p.metric(`lockkeeper_logs_dropped_total{reason="too_old"} 1`)
}

// A client that sends new names all the time loses nothing, nor do others, also after kills.
func TestTenThousandNamesOfFields(t *testing.T) {
	directory := t.TempDir()
	p := start(t, directory)
	for round := range 2 {
		for i := range 100 {
			attributes := map[string]any{"n": round*100 + i}
			for j := range 50 {
				attributes[fmt.Sprintf("name-%d-%d-%d", round, i, j)] = fmt.Sprintf("value%dx%dx%d", round, i, j)
			}
			p.mustExport(record("many", time.Now(), map[string]any{"service.name": "cart"}, attributes))
		}
		if round == 0 {
			p.Kill()
			p = start(t, directory)
		}
	}
	p.eventually(`{service.name="cart"} | uniq by (n)`, 200)
	got := p.eventually(`other_attributes:"value1x99x49" | uniq by (n) | fields n`, 1)
	if got[0]["n"] != "199" {
		t.Errorf("got %v", got)
	}
	names := p.eventually("* | field_names | stats count() names", 1)
	t.Logf("%s names of fields", names[0]["names"])
	if n := len(p.find("* | field_names")); n > maxNames+50 {
		t.Errorf("%d names of fields", n)
	}
	p.Stop()
	p = start(t, directory)
	p.eventually(`{service.name="cart"} | uniq by (n)`, 200)
}

// Each day has its names: those of yesterday's records, which come late, take none of today's, and are as bounded.
func TestNamesOfFieldsByDay(t *testing.T) {
	directory := t.TempDir()
	p := start(t, directory)
	yesterday := time.Now().Add(-24 * time.Hour)
	for i := range 10 {
		attributes := map[string]any{}
		for j := range 100 {
			attributes[fmt.Sprintf("late-%d-%d", i, j)] = "x"
		}
		p.mustExport(record("late", yesterday, nil, attributes))
	}
	p.mustExport(record("today", time.Now(), nil, map[string]any{"fresh": "x"}))
	p.eventually(`fresh:="x"`, 1)
	p.eventually(`late other_attributes:*`, 2)
	p.Kill()
	p = start(t, directory)
	p.mustExport(record("late again", yesterday, nil, map[string]any{"later": "x"}))
	p.eventually(`other_attributes:"later"`, 1)
}

func TestOldestDayIsForgotten(t *testing.T) {
	var begun []string
	days := newByDay(func(day string) *bounds {
		begun = append(begun, day)
		return &bounds{}
	})
	for day := range int64(maxDays) {
		days.at(20_000 + day)
	}
	newest, oldest := days.at(20_000+maxDays-1), days.at(20_000)
	days.at(20_000 + maxDays)
	if days.at(20_000+maxDays-1) != newest || days.at(20_000) == oldest || len(days.all) != maxDays {
		t.Errorf("%d days", len(days.all))
	}
	if last := begun[len(begun)-1]; len(begun) != maxDays+2 || last != "2024-10-04" {
		t.Errorf("%d begun, the last %s", len(begun), last)
	}
}

// One record of more attributes than VictoriaLogs takes is stored whole.
func TestRecordOfTenThousandAttributes(t *testing.T) {
	p := start(t, t.TempDir())
	attributes := map[string]any{}
	for i := range 10_000 {
		attributes[fmt.Sprintf("name-%d", i)] = fmt.Sprintf("value%d", i)
	}
	p.mustExport(record("many", time.Now(), nil, attributes))
	p.eventually(`other_attributes:"value9999"`, 1)
	p.eventually(`name-0:="value0" or other_attributes:"value0"`, 1)
	p.metric(`lockkeeper_logs_changed_total{what="field_names"} 1`)
}

func TestTooManyStreams(t *testing.T) {
	p := start(t, t.TempDir())
	for range 2 {
		l := plog.NewLogs()
		for i := range maxStreams/2 + 100 {
			r := l.ResourceLogs().AppendEmpty()
			r.Resource().Attributes().PutStr("service.name", fmt.Sprintf("s%d-%p", i, &l))
			add(r, "many", time.Now(), nil)
		}
		p.mustExport(l)
	}
	p.eventually(`* | stats by (_stream) count() | stats count() streams | filter streams:=`+fmt.Sprint(maxStreams+1), 1)
	p.eventually(`service.name:="s5-x" | stats count() n`, 1)
	p.eventually(`* | stats count_uniq(service.name) n | filter n:=`+fmt.Sprint(maxStreams+200), 1)
	p.metric(`lockkeeper_logs_changed_total{what="streams"} 200`)
}

func TestGarbageIsRefusedForGood(t *testing.T) {
	p := start(t, t.TempDir())
	if err := p.Export(t.Context(), storagetest.ExportLogs, []byte("garbage")); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v", err)
	}
	p.mustExport(record("after it", time.Now(), nil, nil))
	p.eventually("after", 1)
}

// FuzzRow: whatever a request holds, a record becomes fields that VictoriaLogs takes: names and values are bounded UTF-8, no name comes twice
// and none is VictoriaLogs's own.
func FuzzRow(f *testing.F) {
	for _, l := range []plog.Logs{world(time.Unix(1e9, 0)), record("a\xffb", time.Unix(1e9, 0), map[string]any{"_time": "x", "": "y"}, map[string]any{"a": map[string]any{"b": []any{1, nil}}})} {
		request, err := plogotlp.NewExportRequestFromLogs(l).MarshalProto()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		request := plogotlp.NewExportRequest()
		if request.UnmarshalProto(body) != nil {
			return
		}
		r := newRow()
		r.bounds = &bounds{names: known{limit: 5}, streams: known{limit: 2}}
		for _, resource := range request.Logs().ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, one := range scope.LogRecords().All() {
					streamed := r.write(resource.Resource().Attributes(), scope.Scope(), one)
					checkRow(t, r.fields, streamed)
				}
			}
		}
	})
}

func checkRow(t *testing.T, fields []logstorage.Field, streamed int) {
	t.Helper()
	seen := map[string]bool{}
	if streamed > len(fields) || len(fields) > maxFields+1 {
		t.Fatalf("%d fields, %d of the stream", len(fields), streamed)
	}
	for _, field := range fields {
		own := strings.HasPrefix(field.Name, "_") && field.Name != "_msg"
		if seen[field.Name] || own || field.Name == "" || len(field.Name) > maxName || !utf8.ValidString(field.Name+field.Value) || field.Value == "" {
			t.Fatalf("%q: %q", field.Name, field.Value)
		}
		seen[field.Name] = true
	}
}
