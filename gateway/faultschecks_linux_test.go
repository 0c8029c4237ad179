package main

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// latency is the mean of the calls that a plugin had since this was last called with seen.
func (g *faultGateway) latency(t *testing.T, name string, seen map[string][2]float64) time.Duration {
	t.Helper()
	const metric = "lockkeeper_plugin_call_duration_seconds"
	label := fmt.Sprintf(`plugin="%s"`, name)
	now := [2]float64{g.metric(t, metric+"_sum", label), g.metric(t, metric+"_count", label)}
	before := seen[name]
	seen[name] = now
	if now[1] == before[1] {
		return 0
	}
	return time.Duration((now[0] - before[0]) / (now[1] - before[1]) * float64(time.Second))
}

// metric is the sum of the gateway's own series of this name and with all of these labels.
func (g *faultGateway) metric(t *testing.T, name string, labels ...string) (sum float64) {
	t.Helper()
	r, err := http.Get("http://" + g.self + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		line := lines.Text()
		rest, found := strings.CutPrefix(line, name)
		lacks := func(label string) bool { return !strings.Contains(rest, label) }
		if found && strings.IndexAny(rest, "{ ") == 0 && !slices.ContainsFunc(labels, lacks) {
			value, _ := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			sum += value
		}
	}
	return sum
}

// footprint is what a gateway may not have more of after restarts.
type footprint struct{ goroutines, files, children, processes int }

func (g *faultGateway) footprint(t *testing.T) footprint {
	t.Helper()
	pid := g.gateway.cmd.Process.Pid
	r, err := http.Get("http://" + g.pprof + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var f footprint
	if _, err := fmt.Fscanf(r.Body, "goroutine profile: total %d", &f.goroutines); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	f.files, f.children, f.processes = len(files), len(children(t, pid)), len(g.processes(t))
	return f
}

// processes are those that run testdata/faulty, whoever their parent is.
func (g *faultGateway) processes(t *testing.T) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, exe := range all {
		if binary, _ := os.Readlink(exe); binary == g.binary {
			pids = append(pids, filepath.Base(filepath.Dir(exe)))
		}
	}
	return pids
}

// children are the processes that a process has started, zombies too.
func children(t *testing.T, pid int) []string {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, thread := range threads {
		text, _ := os.ReadFile(thread) // a thread may have ended meanwhile
		for _, child := range strings.Fields(string(text)) {
			all[child] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// checkStored waits until VictoriaMetrics has all that was sent, and holds that it has no more and never had.
func (g *faultGateway) checkStored(t *testing.T) {
	t.Helper()
	const query = `sum(istio_requests_total)`
	sent := float64(g.sent)
	wait(t, fmt.Sprintf("%v requests in the storage", sent), func() bool { return g.value(t, query) >= sent })
	time.Sleep(faultLasts)
	for query, want := range map[string]float64{query: sent, `sum(increase(istio_requests_total[1h]))`: sent, `sum(resets(istio_requests_total[1h]))`: 0} {
		if got := g.value(t, query); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	t.Logf("%v requests sent, all stored", sent)
}

// checkDelivered waits until every storage plugin has got the same, but for the one with the queue that was full.
func (g *faultGateway) checkDelivered(t *testing.T) {
	t.Helper()
	const delivered, failed = "otelcol_exporter_sent_metric_points", "otelcol_exporter_send_failed_metric_points"
	exporters := append([]string{"remote", "healthy"}, g.faulty...)
	wait(t, "all queues to be empty", func() bool {
		want := g.metric(t, delivered, `exporter="plugin/metrics"`)
		for _, name := range exporters {
			got := g.metric(t, delivered, `exporter="plugin/`+name+`"`)
			if name != "full" && got != want || g.metric(t, queueAge, `plugin="`+name+`"`) != 0 {
				return false
			}
		}
		return true
	})
	if lost := g.metric(t, failed) + g.metric(t, refused) - g.metric(t, refused, `exporter="plugin/full"`); lost != 0 {
		t.Errorf("%v data points lost", lost)
	}
	t.Logf("%v data points, delivered to each of %d plugins", g.metric(t, delivered, `exporter="plugin/metrics"`), len(exporters)+1)
}

// checkFootprint waits until the gateway has no more than before; connections of this test come and go.
func (g *faultGateway) checkFootprint(t *testing.T, before footprint) {
	t.Helper()
	const slack = 15
	wait(t, "goroutines, files and children to be as before", func() bool {
		now := g.footprint(t)
		return now.goroutines <= before.goroutines+slack && now.files <= before.files+slack &&
			now.children == before.children && now.processes == before.processes
	})
	restarts := 0
	for _, p := range g.reports(t) {
		restarts += p.Restarts
	}
	t.Logf("%+v, before %d restarts %+v", g.footprint(t), restarts, before)
}

// checkTold holds that each fault was counted, in metrics that the gateway scrapes of itself and the storage keeps.
func (g *faultGateway) checkTold(t *testing.T) {
	t.Helper()
	for _, query := range []string{
		`lockkeeper_plugin_restarts_total{plugin="crash"}`,
		`lockkeeper_plugin_restarts_total{plugin="remote"}`,
		`lockkeeper_plugin_kills_total{plugin="leak",reason="memory"}`,
		`lockkeeper_plugin_kills_total{plugin="hang",reason="hung"}`,
		`lockkeeper_plugin_kills_total{plugin="deadlock",reason="hung"}`,
		`lockkeeper_plugin_log_lines_dropped_total{plugin="flood"}`,
		`max_over_time(lockkeeper_plugin_queue_age_seconds{plugin="hang"}[1h])`,
		`sum(lockkeeper_plugin_calls_total{plugin="protocol",code="Unavailable"})`,
		`sum(lockkeeper_plugin_call_duration_seconds_count{plugin="healthy"})`,
		`lockkeeper_plugin_memory_bytes{plugin="healthy"}`,
		`otelcol_exporter_queue_capacity{exporter="plugin/healthy"}`,
	} {
		if got := g.value(t, query); !(got > 0) { // nor NaN, which is no answer
			t.Errorf("%s: %v", query, got)
		}
	}
	if up, want := g.value(t, `sum(lockkeeper_plugin_up)`), float64(len(g.reports(t))); up != want {
		t.Errorf("%v plugins are up, want %v", up, want)
	}
}

// checkEnd kills the gateway: all plugins end but the one at an address, which others may use.
func (g *faultGateway) checkEnd(t *testing.T) {
	t.Helper()
	storage := g.reports(t)["victoriametrics"].PID
	g.gateway.signal(t, syscall.SIGKILL)
	wait(t, "all plugins to end", func() bool { return syscall.Kill(storage, 0) != nil && len(g.processes(t)) == 1 })
	if !listening(g.remote) {
		t.Error("the plugin at an address ended with the gateway")
	}
}
