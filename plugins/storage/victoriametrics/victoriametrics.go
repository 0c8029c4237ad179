package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vminsert"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmselect"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmselect/promql"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/cgroup"
	"github.com/VictoriaMetrics/metrics"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
)

// startVictoriaMetrics opens the database. VictoriaMetrics is made of global state: this works once in a process.
func startVictoriaMetrics(s victoria.Settings) error {
	flags := map[string]string{
		// Samples can be queried as soon as they are stored, not 30 s later.
		"search.latencyOffset": "1ms",
		// The same sample delivered twice is one sample.
		"dedup.minScrapeInterval": "1ms",
	}
	if err := s.SetFlags("VictoriaMetrics", flags); err != nil {
		return err
	}
	victoria.LogAs("VictoriaMetrics")

	queries, wait := min(2*cgroup.AvailableCPUs(), 16), 10*time.Second
	vmstorage.Init(queries, wait, promql.ResetRollupResultCacheIfNeeded)
	vmselect.Init(queries, wait)
	vminsert.Init()
	// A snapshot that a crash left behind would keep deleted data on disk.
	_ = ask("/snapshot/delete_all")
	return nil
}

func stopVictoriaMetrics() {
	vminsert.Stop()
	vmstorage.Stop()
	vmselect.Stop()
}

// flushed is victoria.Database's. VictoriaMetrics holds samples for up to 12 s: first in buffers, which are empty when DebugFlush
// returns, then as parts in memory, each of which leaves it only for one on disk.
func flushed(tries int) (bool, error) {
	for range tries {
		vmstorage.DebugFlush()
		if err := flushToDisk(); err != nil {
			return false, err
		}
		if onDisk() {
			return true, nil
		}
	}
	return false, nil
}

// flushToDisk writes everything that was stored before the call to disk, except for what VictoriaMetrics is just
// merging: a snapshot does that as its first step. onDisk tells whether nothing is left in memory.
func flushToDisk() error {
	if err := ask("/snapshot/create"); err != nil {
		return err
	}
	return ask("/snapshot/delete_all")
}

// ask calls VictoriaMetrics's own handler, which is not reachable from outside.
func ask(path string) error {
	var answer reply
	request := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path}}
	if !vmstorage.RequestHandler(&answer, request) || !bytes.Contains(answer.body, []byte(`"status":"ok"`)) {
		return fmt.Errorf("VictoriaMetrics %s: %q", path, answer.body)
	}
	return nil
}

// reply is an http.ResponseWriter that keeps the body.
type reply struct {
	header http.Header
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

func (r *reply) WriteHeader(int) {}

// onDisk tells whether there is an instant, after the call, at which VictoriaMetrics holds no part in memory.
// A part counts as in memory until the one on disk that replaces it is listed there.
func onDisk() bool {
	var page bytes.Buffer
	metrics.WritePrometheus(&page, false)
	empty := 0
	for line := range strings.Lines(page.String()) {
		switch strings.TrimSpace(line) {
		case `vm_parts{type="storage/inmemory"} 0`, `vm_parts{type="indexdb/inmemory"} 0`:
			empty++
		}
	}
	return empty == 2
}
