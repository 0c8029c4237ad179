package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

// process is the real plugin in a process of its own.
type process struct {
	*storagetest.Process
	t testing.TB
}

// start runs the plugin on the data in directory.
func start(t testing.TB, directory string) *process {
	t.Helper()
	return &process{storagetest.Start(t, directory), t}
}

func (p *process) export(l plog.Logs) error {
	request, err := plogotlp.NewExportRequestFromLogs(l).MarshalProto()
	if err != nil {
		return err
	}
	return p.Export(p.t.Context(), storagetest.ExportLogs, request)
}

// mustExport fails the test unless the request is acknowledged.
func (p *process) mustExport(l plog.Logs) {
	p.t.Helper()
	if err := p.export(l); err != nil {
		p.t.Fatal(err)
	}
}

// find runs a query and returns the records.
func (p *process) find(query string) (records []map[string]string) {
	p.t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(p.Get("/select/logsql/query?query=" + url.QueryEscape(query))))
	for decoder.More() {
		var record map[string]string
		if err := decoder.Decode(&record); err != nil {
			p.t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

// eventually waits for a query to find so many records: what was written is visible after about half a second.
func (p *process) eventually(query string, want int) []map[string]string {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	var got []map[string]string
	for time.Now().Before(deadline) {
		if got = p.find(query); len(got) == want {
			return got
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatalf("%s: got %d records, want %d\n%v\n%s", query, len(got), want, got, p.Log)
	return nil
}

// record is a request with one log record.
func record(body string, at time.Time, resource, attributes map[string]any) plog.Logs {
	l := plog.NewLogs()
	r := l.ResourceLogs().AppendEmpty()
	_ = r.Resource().Attributes().FromRaw(resource)
	add(r, body, at, attributes)
	return l
}

func add(to plog.ResourceLogs, body string, at time.Time, attributes map[string]any) plog.LogRecord {
	if to.ScopeLogs().Len() == 0 {
		to.ScopeLogs().AppendEmpty()
	}
	one := to.ScopeLogs().At(0).LogRecords().AppendEmpty()
	one.Body().SetStr(body)
	one.SetTimestamp(pcommon.NewTimestampFromTime(at))
	_ = one.Attributes().FromRaw(attributes)
	return one
}
