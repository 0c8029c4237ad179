package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Hundreds of targets, by two gateways that share them: each is scraped once, and when one gateway takes all of them, by that one.
func TestLayersShards(t *testing.T) {
	const targets, series = 300, 100
	l := newLayers(t)
	farm := newFarm(t, targets, series)
	addresses := make([]string, 0, targets)
	for _, server := range farm {
		addresses = append(addresses, fmt.Sprintf("%q", strings.TrimPrefix(server.URL, "http://")))
	}
	rewrite(t, filepath.Join(l.targets, "farm.yaml"), "- {targets: ["+strings.Join(addresses, ", ")+"], labels: {job: farm}}\n")
	other := freeAddresses(t)
	t.Setenv("SHARDS", "2")
	mark := func(shard int) string { // which gateway it was
		t.Setenv("SHARD", fmt.Sprint(shard))
		return fmt.Sprintf("yaml:receivers::prometheus/layers::config::global: {external_labels: {shard: 's%d'}}", shard)
	}
	a := startRun(t, append(l.args, "--config", mark(0))...)
	a.expect(t, "Lockkeeper is ready")
	b := startRun(t, "--config", other.config(t, needsPlugins(t)), "--config", l.args[3], "--config", mark(1), "--config", writeFile(t, fmt.Sprintf(`
exporters: {otlp_grpc: {endpoint: %q, tls: {insecure: true}}}
service:
  extensions: [file_storage]
  pipelines: {metrics: {exporters: [otlp_grpc]}, logs: {exporters: [otlp_grpc]}}
`, l.grpc)))
	b.expect(t, "Lockkeeper is ready")
	l.until(t, `count(up{job="farm"} == 1)`, fmt.Sprint(targets))
	l.until(t, `count(count by (instance) (up{job="farm"}))`, fmt.Sprint(targets))
	l.until(t, `count({job="farm",__name__="value"})`, fmt.Sprint(targets*series))
	l.until(t, `max(count by (instance) (up{job="farm"}))`, "1")
	l.until(t, `count(count by (shard) (up{job="farm"}) > 100)`, "2")
	t.Logf("%s and %s targets of %d series, every 3 seconds: %.0f and %.0f MiB", l.query(t, `count(up{job="farm",shard="s0"})`), l.query(t, `count(up{job="farm",shard="s1"})`), series,
		memory(t, a), memory(t, b))
}

// newFarm is many targets with some series each.
func newFarm(t *testing.T, targets, series int) (all []*httptest.Server) {
	t.Helper()
	text := &strings.Builder{}
	for n := range series {
		fmt.Fprintf(text, "value{n=\"%d\",some=\"label\",other=\"text\"} %d\n", n, n)
	}
	var ending sync.WaitGroup
	for range targets {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = fmt.Fprint(w, text)
		}))
		t.Cleanup(func() { ending.Go(server.Close) })
		all = append(all, server)
	}
	return all
}

// memory is what a process has resident, in MiB.
func memory(t *testing.T, p *process) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0 // not Linux
	}
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	require.True(t, found)
	var kilobytes float64
	_, err = fmt.Sscan(rest, &kilobytes)
	require.NoError(t, err)
	return kilobytes / 1024
}
