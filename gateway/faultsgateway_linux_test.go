package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faultGateway is a gateway under a steady load of access logs, whose metrics go to VictoriaMetrics, to a healthy plugin and to
// plugins that tests make fail.
type faultGateway struct {
	*durable
	pprof   string
	plugins string   // directory of the binaries
	binary  string   // of testdata/faulty
	faulty  []string // each is a storage plugin of its own, so that the back-off of one does not slow another
}

// pluginReport is what the console tells of a plugin.
type pluginReport struct {
	Name      string
	PID       int
	State     string
	Restarts  int
	LastError string `json:"last_error"`
}

const queueAge = "lockkeeper_plugin_queue_age_seconds"

// spares is how many plugins there are whose only task is to be killed.
const spares = 20

func startFaultGateway(t *testing.T, faulty ...string) *faultGateway {
	t.Helper()
	g := &faultGateway{
		durable: &durable{addresses: freeAddresses(t), data: t.TempDir()},
		pprof:   freeAddress(t), plugins: t.TempDir(), binary: filepath.Join(t.TempDir(), "faulty"), faulty: faulty,
	}
	link(t, filepath.Join(needsPlugins(t), "storage-victoriametrics"), filepath.Join(g.plugins, "storage-victoriametrics"))
	if out, err := exec.Command("go", "build", "-o", g.binary, "./testdata/faulty").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	processes := map[string]any{}
	exporters, pipeline := map[string]any{}, []string{"plugin/metrics"}
	for _, name := range append([]string{"healthy"}, faulty...) {
		link(t, g.binary, g.path(name))
		processes[name] = map[string]any{"kind": "storage"}
		exporters["plugin/"+name] = map[string]any{"plugin": name}
		pipeline = append(pipeline, "plugin/"+name)
	}
	for i := range spares {
		name := fmt.Sprintf("spare-%d", i)
		link(t, g.binary, filepath.Join(g.plugins, "notification-"+name))
		processes[name] = map[string]any{"kind": "notification"}
	}
	text, err := json.Marshal(map[string]any{
		"exporters":  exporters,
		"extensions": map[string]any{"plugins": map[string]any{"processes": processes}, "pprof": map[string]any{"endpoint": g.pprof}},
		"service": map[string]any{
			"extensions": []string{"file_storage", "plugins", "console", "pprof"},
			"pipelines":  map[string]any{"metrics": map[string]any{"exporters": pipeline}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.configs = []string{"--config", g.config(t, g.plugins), "--config", writeFile(t, string(text))}
	return g
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// path is that of the binary of a storage plugin.
func (g *faultGateway) path(name string) string { return filepath.Join(g.plugins, "storage-"+name) }

// set begins a fault of a plugin, or ends it with "".
func (g *faultGateway) set(t *testing.T, name, fault string) {
	t.Helper()
	file := g.path(name) + ".fault"
	if fault == "" {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return
	}
	rewrite(t, file+"~", fault)
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
}

func (g *faultGateway) reports(t *testing.T) map[string]pluginReport {
	t.Helper()
	var answer struct{ Plugins []pluginReport }
	getJSON(t, "http://"+g.console+"/api/v1/plugins", &answer)
	all := map[string]pluginReport{}
	for _, p := range answer.Plugins {
		all[p.Name] = p
	}
	return all
}

// until waits for a plugin to be as done wants it, and returns how long that took.
func (g *faultGateway) until(t *testing.T, name, what string, done func(pluginReport) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		p := g.reports(t)[name]
		if done(p) {
			return time.Since(began)
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s: waited a minute for it %s: %+v", name, what, p)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (g *faultGateway) untilBack(t *testing.T, name string) time.Duration {
	t.Helper()
	return g.until(t, name, "to be back", func(p pluginReport) bool { return p.State == "running" })
}

func kill(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatalf("%v to %d: %v", signal, pid, err)
	}
}

// untilAged waits until the plugin owes an answer for a second.
func (g *faultGateway) untilAged(t *testing.T, name string) {
	t.Helper()
	wait(t, "its queue to age", func() bool { return g.metric(t, queueAge, `plugin="`+name+`"`) > 1 })
}

// send sends access logs at a steady rate until the returned func is called, which tells how many entries it were.
func (g *faultGateway) send(t *testing.T, perSecond int) (stop func() int) {
	t.Helper()
	s, err := (&loadSpec{Target: g.sink, Streams: 1, Messages: 16, Rate: perSecond}).sender(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		var err error
		for ctx.Err() == nil && err == nil {
			err = s.send(perSecond / 4)
		}
		failed <- err
	}()
	return func() (sent int) {
		cancel()
		if err := errors.Join(<-failed, s.stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		for i := range s.next {
			sent += s.entries[i%len(s.entries)]
		}
		return sent
	}
}

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
type footprint struct{ goroutines, files, children int }

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
	f.files, f.children = len(files), len(children(t, pid))
	return f
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
