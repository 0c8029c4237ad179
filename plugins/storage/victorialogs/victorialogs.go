package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlselect"
	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"
	"github.com/VictoriaMetrics/metrics"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
)

// startVictoriaLogs opens the database. VictoriaLogs is made of global state: this works once in a process.
func startVictoriaLogs(s victoria.Settings) error {
	flags := map[string]string{
		// Room to end what is under way.
		"storage.minFreeDiskSpaceBytes": "100MB",
	}
	if err := s.SetFlags("VictoriaLogs", flags); err != nil {
		return err
	}
	victoria.LogAs("VictoriaLogs")
	// A snapshot that a crash left behind would keep deleted data on disk.
	left, err := filepath.Glob(filepath.Join(s.DataDirectory, "partitions", "*", "snapshots"))
	if err != nil {
		return err
	}
	for _, snapshots := range left {
		if err := os.RemoveAll(snapshots); err != nil {
			return err
		}
	}
	vlstorage.Init()
	vlselect.Init()
	return nil
}

func stopVictoriaLogs() {
	vlselect.Stop()
	vlstorage.Stop()
}

// show makes what was inserted visible to queries.
func show() {
	if _, err := ask("force_flush", nil); err != nil {
		victoria.Warn("%v", err)
	}
}

// disk proves what VictoriaLogs has on disk. Records are held first in buffers, which are empty after show, then as parts in
// memory, each of which leaves it only for one on disk. The index of streams is held likewise.
type disk struct {
	directory string
	days      *days
	streams   float64 // how many had been created by this process when the index was last proven to be on disk
}

// flushed is victoria.Database's: a snapshot of a day begins by writing to disk what is in memory, except for what is just
// being merged.
func (d *disk) flushed(tries int) (bool, error) {
	written := d.days.all()
	for range tries {
		if _, err := ask("force_flush", nil); err != nil {
			return false, err
		}
		streams := read("vl_streams_created_total")[0]
		for _, day := range written {
			if err := snapshot(day); err != nil {
				return false, err
			}
		}
		if read(`vl_storage_parts{type="storage/inmemory"}`)[0] == 0 && (streams == d.streams || d.indexed()) {
			d.streams = streams
			d.days.forget(written)
			return true, nil
		}
	}
	return false, nil
}

// snapshot writes a day to disk.
func snapshot(day string) error {
	answer, err := ask("partition/snapshot/create", url.Values{"partition_prefix": {strings.ReplaceAll(day, "-", "")}})
	if err != nil {
		return err
	}
	var paths []string
	if err := json.Unmarshal(answer, &paths); err != nil {
		return fmt.Errorf("VictoriaLogs: snapshot: %w", err)
	}
	for _, path := range paths {
		if _, err := ask("partition/snapshot/delete", url.Values{"path": {path}}); err != nil {
			return err
		}
	}
	return nil
}

// indexed tells whether the index has as many items on disk as in all.
func (d *disk) indexed() bool {
	values := read("vl_indexdb_rows", `vl_pending_rows{type="indexdb"}`)
	lists, err := filepath.Glob(filepath.Join(d.directory, "partitions", "*", "indexdb", "parts.json"))
	if err != nil || values[1] != 0 {
		return false
	}
	onDisk := 0
	for _, list := range lists {
		var parts []string
		if !load(list, &parts) {
			return false
		}
		for _, part := range parts {
			var header struct{ ItemsCount int }
			if !load(filepath.Join(filepath.Dir(list), part, "metadata.json"), &header) {
				return false // merged with others meanwhile
			}
			onDisk += header.ItemsCount
		}
	}
	return float64(onDisk) == values[0]
}

func load(path string, into any) bool {
	text, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(text, into) == nil
}

// read returns the values of VictoriaLogs's metrics; NaN of one that is not there.
func read(names ...string) []float64 {
	var page strings.Builder
	metrics.WritePrometheus(&page, false)
	values := make([]float64, len(names))
	for i := range values {
		values[i] = math.NaN()
	}
	for line := range strings.Lines(page.String()) {
		for i, name := range names {
			if value, ok := strings.CutPrefix(line, name+" "); ok {
				_, _ = fmt.Sscan(value, &values[i])
			}
		}
	}
	return values
}

// ask calls VictoriaLogs's own handler, which is not reachable from outside.
func ask(path string, query url.Values) ([]byte, error) {
	answer := reply{code: http.StatusOK}
	request := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/internal/" + path, RawQuery: query.Encode()}, Header: http.Header{}}
	if !vlstorage.RequestHandler(&answer, request) || answer.code/100 != 2 {
		return nil, fmt.Errorf("VictoriaLogs %s: %q", path, answer.body)
	}
	return answer.body, nil
}

// reply is an http.ResponseWriter that keeps the body.
type reply struct {
	header http.Header
	code   int
	body   []byte
}

func (r *reply) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

func (r *reply) Write(p []byte) (int, error) {
	r.body = append(r.body, p...)
	return len(p), nil
}

func (r *reply) WriteHeader(code int) { r.code = code }
