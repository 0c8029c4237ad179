package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	backWithin  = 2 * time.Second // of the end of a fault
	faultLasts  = 2 * time.Second
	entriesRate = 2000 // a second

	refused = "otelcol_exporter_enqueue_failed_metric_points"
)

// fault is something that goes wrong with a plugin.
type fault struct {
	name, plugin string
	// begin makes it go wrong and returns when that shows. end returns when nothing is wrong any more but that the plugin is
	// not back yet.
	begin func(t *testing.T, g *faultGateway, plugin string) (end func())
}

func faults() []fault {
	return []fault{
		{"crash loop", "crash", sets("crash", func(p pluginReport) bool { return p.Restarts > 3 })},
		{"flood of output", "flood", sets("flood", func(p pluginReport) bool { return p.LogLinesDropped > 0 })},
		{"memory leak", "leak", sets("leak", says("memory_limit"))},
		{"slow start", "slow", startsWith("slow", func(p pluginReport) bool { return p.State == "starting" })},
		{"output before the handshake", "talk", startsWith("talk", says("handshake"))},
		{"wrong protocol", "protocol", startsWith("protocol", says("protocol"))},
		{"hang", "hang", func(t *testing.T, g *faultGateway, plugin string) func() {
			pid := g.reports(t)[plugin].PID
			kill(t, pid, syscall.SIGSTOP)
			g.untilAged(t, plugin)
			return func() { g.untilKilled(t, plugin, pid) }
		}},
		{"deadlock", "deadlock", func(t *testing.T, g *faultGateway, plugin string) func() {
			pid := g.reports(t)[plugin].PID
			g.set(t, plugin, "deadlock")
			g.untilAged(t, plugin)
			g.set(t, plugin, "") // the next process has none
			return func() { g.untilKilled(t, plugin, pid) }
		}},
		{"full queue", "full", func(t *testing.T, g *faultGateway, plugin string) func() {
			pid := g.reports(t)[plugin].PID
			g.set(t, plugin, "deadlock")
			g.untilAged(t, plugin)
			before := g.metric(t, refused)
			wait(t, "its queue to overflow", func() bool { return g.metric(t, refused) > before })
			g.set(t, plugin, "")
			stop := g.send(t, 2, entriesRate) // series that are new
			return func() { stop(); g.untilKilled(t, plugin, pid) }
		}},
		{"wrong binary", "replaced", replaceByAWrongBinary},
		{"away", "remote", func(t *testing.T, g *faultGateway, plugin string) func() {
			kill(t, g.server.Process.Pid, syscall.SIGKILL)
			_ = g.server.Wait()
			g.until(t, plugin, "to be missed", isDown)
			return func() { g.serve(t) }
		}},
		{"blackhole", "remote", func(t *testing.T, g *faultGateway, plugin string) func() {
			kill(t, g.server.Process.Pid, syscall.SIGSTOP) // the kernel still takes connections for it, and what is sent to it
			g.until(t, plugin, "to be missed", isDown)
			return func() { kill(t, g.server.Process.Pid, syscall.SIGCONT) }
		}},
		{"killed", "victoriametrics", func(t *testing.T, g *faultGateway, plugin string) func() {
			pid := g.reports(t)[plugin].PID
			return func() {
				kill(t, pid, syscall.SIGKILL)
				g.until(t, plugin, "to be missed", func(p pluginReport) bool { return p.PID != pid })
			}
		}},
	}
}

func isDown(p pluginReport) bool { return p.State != "running" }

// sets makes a plugin that runs fail.
func sets(what string, shown func(pluginReport) bool) func(*testing.T, *faultGateway, string) func() {
	return func(t *testing.T, g *faultGateway, name string) func() {
		g.set(t, name, what)
		g.until(t, name, "to fail", shown)
		return func() { g.set(t, name, "") }
	}
}

// startsWith makes a plugin fail when it is started, and kills it.
func startsWith(what string, shown func(pluginReport) bool) func(*testing.T, *faultGateway, string) func() {
	return func(t *testing.T, g *faultGateway, name string) func() {
		g.set(t, name, what)
		kill(t, g.reports(t)[name].PID, syscall.SIGKILL)
		g.until(t, name, "to fail", shown)
		return func() { g.set(t, name, "") }
	}
}

// says tells whether the reason for which the plugin was down last has this in it.
func says(text string) func(pluginReport) bool {
	return func(p pluginReport) bool { return strings.Contains(p.LastError, text) }
}

func (g *faultGateway) untilKilled(t *testing.T, name string, pid int) {
	t.Helper()
	g.until(t, name, "to be killed", func(p pluginReport) bool { return p.PID != pid })
	if p := g.reports(t)[name]; !says("did not answer 5 health checks")(p) {
		t.Errorf("%+v", p)
	}
}

// replaceByAWrongBinary does so while the plugin runs, which goes on, and then has it restarted.
func replaceByAWrongBinary(t *testing.T, g *faultGateway, name string) (end func()) {
	before := g.reports(t)[name].PID
	replaceBinary(t, g, name, func(file string) error { return os.WriteFile(file, []byte("#!/bin/sh\nexit 7\n"), 0o700) })
	g.until(t, name, "to have another binary", func(p pluginReport) bool { return p.BinaryChanged })
	wait(t, "the metric of that", func() bool { return g.metric(t, "lockkeeper_plugin_binary_changed", `plugin="`+name+`"`) == 1 })
	if p := g.reports(t)[name]; p.PID != before || p.State != "running" {
		t.Errorf("%+v", p)
	}
	kill(t, before, syscall.SIGKILL)
	g.until(t, name, "to run the other binary", says("exit status 7"))
	return func() {
		replaceBinary(t, g, name, func(file string) error { return os.Symlink(g.binary, file) })
	}
}

func replaceBinary(t *testing.T, g *faultGateway, name string, make func(file string) error) {
	t.Helper()
	if err := make(g.path(name) + "~"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(g.path(name)+"~", g.path(name)); err != nil {
		t.Fatal(err)
	}
}

// Whatever one plugin does, the metrics of access logs stay exact, other plugins are served as before, nothing is left of those
// that were restarted, and what the gateway owed to the one that failed it gets as soon as it is back.
func TestFaultsOfPlugins(t *testing.T) {
	g := startFaultGateway(t)
	g.serve(t)
	g.run(t)
	go func() { // what plugins print, the gateway's log has
		for range g.gateway.lines {
		}
	}()
	for name := range g.reports(t) {
		g.untilBack(t, name)
	}
	stop := g.send(t, 1, entriesRate)
	seen := map[string][2]float64{}
	wait(t, "the first requests in the storage", func() bool { return g.value(t, `sum(istio_requests_total)`) > 0 })
	time.Sleep(faultLasts) // all series are known then
	before := g.footprint(t)
	g.latency(t, "healthy", seen)
	g.latency(t, "victoriametrics", seen)
	time.Sleep(2 * faultLasts)
	usual := map[string]time.Duration{"healthy": g.latency(t, "healthy", seen), "victoriametrics": g.latency(t, "victoriametrics", seen)}
	t.Logf("calls take %v", usual)

	unharmed := func(t *testing.T) {
		t.Helper()
		for name, usually := range usual {
			now := g.latency(t, name, seen)
			t.Logf("calls to %s take %v, usually %v", name, now, usually)
			if now > 10*usually+250*time.Millisecond { // a busy machine has moments
				t.Errorf("calls to %s take %v, usually %v", name, now, usually)
			}
		}
	}
	t.Run("restarts", func(t *testing.T) { g.killSpares(t, 5); unharmed(t) })
	for _, f := range faults() {
		t.Run(f.plugin+": "+f.name, func(t *testing.T) { g.try(t, f); unharmed(t) })
	}

	stop()
	g.checkStored(t)
	g.checkDelivered(t)
	g.checkTold(t)
	g.checkFootprint(t, before)
	g.checkEnd(t)
}

// try has a fault happen, up to three times until the plugin is back in time.
func (g *faultGateway) try(t *testing.T, f fault) {
	best := time.Hour
	for range 3 {
		began := time.Now()
		end := f.begin(t, g, f.plugin)
		time.Sleep(time.Until(began.Add(faultLasts)))
		end()
		back := g.untilBack(t, f.plugin)
		t.Logf("back %v after its fault ended, which lasted %v", back, time.Since(began)-back)
		if best = min(best, back); best <= backWithin {
			return
		}
	}
	if best > 3*backWithin {
		t.Errorf("back after %v at best, want %v or less", best, backWithin)
	}
}

// killSpares kills each of the spare plugins so many times.
func (g *faultGateway) killSpares(t *testing.T, times int) {
	for range times {
		killed := map[string]int{}
		for name, p := range g.reports(t) {
			if strings.HasPrefix(name, "spare-") {
				kill(t, p.PID, syscall.SIGKILL)
				killed[name] = p.PID
			}
		}
		for name, pid := range killed {
			g.until(t, name, "to be back", func(p pluginReport) bool { return p.State == "running" && p.PID != pid })
		}
	}
	restarts := 0
	for name, p := range g.reports(t) {
		if strings.HasPrefix(name, "spare-") {
			restarts += p.Restarts
		}
	}
	if restarts < spares*times {
		t.Errorf("%d restarts, want %d", restarts, spares*times)
	}
}
