package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// faultGateway is a gateway under a steady load of access logs, whose metrics go to VictoriaMetrics, to a healthy plugin and to
// plugins that tests make fail.
type faultGateway struct {
	*durable
	pprof   string
	plugins string    // directory of the binaries
	binary  string    // of testdata/faulty
	faulty  []string  // each is a storage plugin of its own, so that the back-off of one does not slow another
	remote  string    // address of the plugin "remote"
	server  *exec.Cmd // of the plugin "remote"
	sent    int       // entries of access logs
}

// pluginReport is what the console tells of a plugin.
type pluginReport struct {
	Name            string
	PID             int
	State           string
	Restarts        int
	LastError       string `json:"last_error"`
	BinaryChanged   bool   `json:"binary_changed"`
	LogLinesDropped int    `json:"log_lines_dropped"`
}

const queueAge = "lockkeeper_plugin_queue_age_seconds"

// spares is how many plugins there are whose only task is to be killed.
const spares = 20

func startFaultGateway(t *testing.T) *faultGateway {
	t.Helper()
	g := &faultGateway{
		durable: &durable{addresses: freeAddresses(t), data: t.TempDir()},
		pprof:   freeAddress(t), remote: freeAddress(t), plugins: t.TempDir(), binary: filepath.Join(t.TempDir(), "faulty"),
	}
	linkStorages(t, g.plugins)
	if out, err := exec.Command("go", "build", "-o", g.binary, "./testdata/faulty").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if g.server != nil {
			_ = g.server.Process.Kill()
			_ = g.server.Wait()
		}
	})
	for _, f := range faults() {
		if f.plugin != "victoriametrics" && f.plugin != "remote" {
			g.faulty = append(g.faulty, f.plugin)
		}
	}
	processes := map[string]any{"remote": map[string]any{"kind": "storage", "address": g.remote, "tls": map[string]any{"insecure": true}}}
	exporters, pipeline := map[string]any{"plugin/remote": map[string]any{"plugin": "remote"}}, []string{"plugin/metrics", "plugin/remote"}
	for _, name := range append([]string{"healthy"}, g.faulty...) {
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
	processes["leak"].(map[string]any)["memory_limit"] = "128MiB"
	exporters["plugin/full"] = map[string]any{"plugin": "full", "sending_queue": map[string]any{"sizer": "requests", "queue_size": 5}}
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

// serve runs the plugin "remote".
func (g *faultGateway) serve(t *testing.T) {
	t.Helper()
	cmd := exec.Command(g.binary, "--listen", g.remote)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.server = cmd
	for deadline := time.Now().Add(time.Minute); !listening(g.remote); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the plugin at an address does not listen after a minute")
		}
	}
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

// send sends the access logs of a stream at a steady rate until the returned func is called.
func (g *faultGateway) send(t *testing.T, stream, perSecond int) (stop func()) {
	t.Helper()
	s, err := (&loadSpec{Target: g.sink, Streams: 1, Messages: 16, Rate: perSecond}).sender(stream)
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
	return func() {
		cancel()
		if err := errors.Join(<-failed, s.stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		for i := range s.next {
			g.sent += s.entries[i%len(s.entries)]
		}
	}
}
