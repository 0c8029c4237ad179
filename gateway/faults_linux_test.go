package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	backWithin  = 2 * time.Second // of the end of a fault
	faultLasts  = 2 * time.Second
	entriesRate = 2000 // a second
)

// fault is something that goes wrong with the plugin of its name.
type fault struct {
	name string
	// begin makes it go wrong and returns when that shows. end returns when nothing is wrong any more but that the plugin is
	// not back yet.
	begin func(t *testing.T, g *faultGateway, name string) (end func())
}

func faults() []fault {
	return []fault{
		{"crash", sets("crash", func(p pluginReport) bool { return p.Restarts > 3 })},
		{"slow", startsWith("slow", func(p pluginReport) bool { return p.State == "starting" })},
		{"talk", startsWith("talk", says("handshake"))},
		{"hang", func(t *testing.T, g *faultGateway, name string) func() {
			pid := g.reports(t)[name].PID
			kill(t, pid, syscall.SIGSTOP)
			g.untilAged(t, name)
			return func() { g.untilKilled(t, name, pid) }
		}},
		{"deadlock", func(t *testing.T, g *faultGateway, name string) func() {
			pid := g.reports(t)[name].PID
			g.set(t, name, "deadlock")
			g.untilAged(t, name)
			g.set(t, name, "") // the next process has none
			return func() { g.untilKilled(t, name, pid) }
		}},
	}
}

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

// Whatever one plugin does, the metrics of access logs stay exact, other plugins are served as before, nothing is left of those
// that were restarted, and what the gateway owed to the one that failed it gets as soon as it is back.
func TestFaultsOfPlugins(t *testing.T) {
	all := faults()
	var names []string
	for _, f := range all {
		names = append(names, f.name)
	}
	g := startFaultGateway(t, names...)
	g.run(t)
	go func() { // what plugins print, the gateway's log has
		for range g.gateway.lines {
		}
	}()
	for name := range g.reports(t) {
		g.untilBack(t, name)
	}
	stop := g.send(t, entriesRate)
	seen := map[string][2]float64{}
	time.Sleep(faultLasts)
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
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) { g.try(t, f); unharmed(t) })
	}

	sent := stop()
	g.checkStored(t, sent)
	g.checkDelivered(t)
	g.checkFootprint(t, before)
	g.checkEnd(t)
}

// try has a fault happen, up to three times until the plugin is back in time.
func (g *faultGateway) try(t *testing.T, f fault) {
	best := time.Hour
	for range 3 {
		began := time.Now()
		end := f.begin(t, g, f.name)
		time.Sleep(time.Until(began.Add(faultLasts)))
		end()
		back := g.untilBack(t, f.name)
		t.Logf("back %v after its fault ended, which lasted %v", back, time.Since(began)-back)
		if best = min(best, back); best <= backWithin {
			return
		}
	}
	t.Errorf("back after %v at best, want %v or less", best, backWithin)
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

// checkStored waits until VictoriaMetrics has all that was sent, and holds that it has no more.
func (g *faultGateway) checkStored(t *testing.T, sent int) {
	t.Helper()
	const query = `sum(istio_requests_total)`
	wait(t, fmt.Sprintf("%d requests in the storage", sent), func() bool { return g.value(t, query) >= float64(sent) })
	time.Sleep(faultLasts)
	if got := g.value(t, query); got != float64(sent) {
		t.Errorf("%v requests in the storage, want %d", got, sent)
	}
	t.Logf("%d requests sent, all stored", sent)
}

// checkDelivered waits until every storage plugin has got the same.
func (g *faultGateway) checkDelivered(t *testing.T) {
	t.Helper()
	const sent = "otelcol_exporter_sent_metric_points"
	exporters := append([]string{"healthy"}, g.faulty...)
	wait(t, "all queues to be empty", func() bool {
		want := g.metric(t, sent, `exporter="plugin/metrics"`)
		for _, name := range exporters {
			if g.metric(t, sent, `exporter="plugin/`+name+`"`) != want || g.metric(t, queueAge, `plugin="`+name+`"`) != 0 {
				return false
			}
		}
		return true
	})
	for _, lost := range []string{"otelcol_exporter_send_failed_metric_points", "otelcol_exporter_enqueue_failed_metric_points"} {
		if n := g.metric(t, lost); n != 0 {
			t.Errorf("%s: %v", lost, n)
		}
	}
	t.Logf("%v data points, delivered to each of %d plugins", g.metric(t, sent, `exporter="plugin/metrics"`), len(exporters)+1)
}

// checkFootprint waits until the gateway has no more than before; connections of this test come and go.
func (g *faultGateway) checkFootprint(t *testing.T, before footprint) {
	t.Helper()
	const slack = 15
	wait(t, "goroutines, files and children to be as before", func() bool {
		now := g.footprint(t)
		return now.goroutines <= before.goroutines+slack && now.files <= before.files+slack && now.children == before.children
	})
	restarts := 0
	for _, p := range g.reports(t) {
		restarts += p.Restarts
	}
	t.Logf("%+v, before %d restarts %+v", g.footprint(t), restarts, before)
}

// checkEnd kills the gateway: all plugins end.
func (g *faultGateway) checkEnd(t *testing.T) {
	t.Helper()
	reports := g.reports(t)
	g.gateway.signal(t, syscall.SIGKILL)
	for name, p := range reports {
		if p.PID != 0 {
			wait(t, name+" to end with its gateway", func() bool { return syscall.Kill(p.PID, 0) != nil })
		}
	}
}
