package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vminsert"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmselect"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmselect/promql"
	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/cgroup"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/logger"
	"github.com/VictoriaMetrics/metrics"
)

// startVictoriaMetrics opens the database. VictoriaMetrics is made of global state: this works once in a process.
func startVictoriaMetrics(s settings) error {
	flags := map[string]string{
		"storageDataPath":       s.DataDirectory,
		"retentionPeriod":       s.Retention,
		"memory.allowedPercent": strconv.FormatFloat(s.MemoryPercent, 'g', -1, 64),
		// Samples can be queried as soon as they are stored, not 30 s later.
		"search.latencyOffset": "1ms",
		// The same sample delivered twice is one sample.
		"dedup.minScrapeInterval": "1ms",
		// A web page from elsewhere has no business here.
		"http.disableCORS":        "true",
		"loggerLevel":             "WARN",
		"loggerDisableTimestamps": "true",
	}
	for name, value := range flags {
		if err := flag.Set(name, value); err != nil {
			return fmt.Errorf("VictoriaMetrics flag %s=%s: %w", name, value, err)
		}
	}
	// VictoriaMetrics refuses to start before the flags are parsed; this process has no command line.
	if err := flag.CommandLine.Parse(nil); err != nil {
		return err
	}
	logger.InitNoLogFlags()
	logger.SetOutputForTests(logWriter{os.Stderr})

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

// logWriter turns VictoriaMetrics's log lines, "level\tlocation\tmessage", into the form the gateway reads.
// VictoriaMetrics counts on a process that ends when it panics: it does so here, where nothing recovers.
type logWriter struct{ to io.Writer }

func (w logWriter) Write(line []byte) (int, error) {
	level, text, _ := strings.Cut(string(line), "\t")
	location, message, _ := strings.Cut(text, "\t")
	mark := "ERROR"
	switch level {
	case "info", "warn":
		mark = strings.ToUpper(level)
	}
	fmt.Fprintf(w.to, "[%s] VictoriaMetrics: %s (%s)\n", mark, strings.TrimSpace(message), location)
	if level == "panic" {
		fmt.Fprintf(w.to, "panic: %s\n%s", message, debug.Stack())
		os.Exit(1)
	}
	return len(line), nil
}
