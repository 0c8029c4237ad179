package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cleanTime is how long an IDC of these tests must be well until it is answered again.
const cleanTime = 3 * time.Second

// failoverGateway is a gateway with probes, failover and DNS, and the world around it: the entry of each IDC, and two machines of idc1.
type failoverGateway struct {
	console, dns string
	data         string
	idcs         [2]*site
	machines     [2]*site
	file         string // its configuration
}

const (
	viewerToken = "viewer-0123456789abcdef"
	adminToken  = "admin-0123456789abcdef"
	liveName    = "api.gslb.example.com."
)

func newFailoverGateway(t *testing.T) *failoverGateway {
	g := &failoverGateway{console: freeAddress(t), dns: freeAddress(t), data: t.TempDir()}
	for i := range 2 {
		g.idcs[i], g.machines[i] = openSite(t, i+1), openSite(t, i+1)
	}
	g.file = writeFile(t, g.config())
	return g
}

// config is what these tests have in common; it needs no plugin.
func (g *failoverGateway) config() string {
	return fmt.Sprintf(`
receivers:
  probes:
    modules: {entry: {prober: http, timeout: 2s}, port: {prober: tcp, timeout: 2s}} # a busy machine must not look like a dead one
    targets:
      - {module: entry, target: "http://api.example.com/healthz", address: %q, subject: idc/idc1/entry, interval: 250ms}
      - {module: entry, target: "http://api.example.com/healthz", address: %q, subject: idc/idc2/entry, interval: 250ms}
      - {module: port, target: %q, subject: machine/m1, idc: idc1, interval: 250ms}
      - {module: port, target: %q, subject: machine/m2, idc: idc1, interval: 250ms}
extensions:
  failover:
    mode: act
    profile: fast
    thresholds: {idc: {healthy: %d}}
    idcs: {idc1: {weight: 50}, idc2: {weight: 50}}
    data_directory: %q
  dns:
    endpoint: %q
    zones:
      gslb.example.com:
        ns: {ns1.gslb.example.com: 127.1.0.53, ns2.gslb.example.com: 127.2.0.53}
        names: {api: {ttl: 2s, idcs: {idc1: [%s], idc2: [%s]}}}
  alerting: {data_directory: %q}
  console:
    endpoint: %q
    tokens:
      - {name: guest, role: viewer, token: %q}
      - {name: oncall, role: operator, token: %q}
      - {name: boss, role: admin, token: %q}
`, g.idcs[0].address, g.idcs[1].address, g.machines[0].address, g.machines[1].address, int(cleanTime.Seconds()), filepath.Join(g.data, "failover"),
		g.dns, g.idcs[0].ip(), g.idcs[1].ip(), filepath.Join(g.data, "alerting"), g.console, viewerToken, operatorToken, adminToken)
}

// bare is what it needs besides to run without the default configuration, which has plugins.
const bare = `
exporters: {debug: {}}
extensions: {plugins: {}}
service:
  telemetry: {logs: {level: warn, encoding: console}, metrics: {level: none}}
  extensions: [plugins, alerting, failover, dns, console]
  pipelines: {metrics: {receivers: [probes], exporters: [debug]}}
`

// start runs it without plugins.
func (g *failoverGateway) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := startRun(t, append([]string{"--no-default", "--config", writeFile(t, bare), "--config", g.file}, args...)...)
	p.expect(t, "Lockkeeper is ready")
	return p
}

func (g *failoverGateway) url(path string) string { return "http://" + g.console + path }

// command is `lockkeeper ARGS…` of the bearer of a token, asked of this gateway.
func (g *failoverGateway) command(t *testing.T, token string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return call(t, append(args, "--url", g.url(""), "--token", token)...)
}

// does wants a command of the operator's to succeed, and returns what it says.
func (g *failoverGateway) does(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := g.command(t, operatorToken, args...)
	if code != 0 {
		t.Fatalf("lockkeeper %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// state is what `lockkeeper failover list` shows.
func (g *failoverGateway) state(t *testing.T) (s failoverState) {
	t.Helper()
	getJSON(t, g.url("/api/v1/failover"), &s)
	return s
}

func (s *failoverState) subject(name string) failoverSubject {
	for _, x := range s.Subjects {
		if x.Subject == name {
			return x
		}
	}
	return failoverSubject{}
}

// alerted waits until the alerting of the gateway has alerts of all these names.
func (g *failoverGateway) alerted(t *testing.T, names ...string) {
	t.Helper()
	var there []string
	for deadline := time.Now().Add(3 * patience); ; time.Sleep(50 * time.Millisecond) {
		var list []struct{ Labels map[string]string }
		getJSON(t, g.url("/alertmanager/api/v2/alerts"), &list)
		there = nil
		for _, a := range list {
			there = append(there, a.Labels["alertname"])
		}
		switch missing := func(name string) bool { return !slices.Contains(there, name) }; {
		case !slices.ContainsFunc(names, missing):
			return
		case time.Now().After(deadline):
			t.Fatalf("there are alerts %q, not all of %q", there, names)
		}
	}
}

// An IDC that dies is answered no more until it was well for some time: with plugins, and when all of them, and the binaries they would be started
// from, are gone.
func TestFailoverOutlivesPlugins(t *testing.T) {
	g, plugins := newFailoverGateway(t), newAlertingGateway(t)
	plugins.console = g.console
	p := startRun(t, append(plugins.args, "--config", g.file, "--config", "yaml:service::extensions: [file_storage, plugins, alerting, failover, dns, console]")...)
	p.expect(t, "Lockkeeper is ready")
	w := g.watch(t)
	one, two := g.idcs[0], g.idcs[1]
	w.answered(t, one, two)

	began := time.Now()
	one.die()
	w.gone(t, one, began)
	t.Logf("one that refuses is answered for %s more", w.last(one).Sub(began))

	if err := os.RemoveAll(plugins.plugins); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"chat", "rules", "victoriametrics"} {
		plugins.kill(t, name)
	}
	began = time.Now()
	one.live(t)
	w.answered(t, one, two)
	back := w.first(one, began).Sub(began)
	t.Logf("plugins dead: back %s after it lives again", back)
	if back < cleanTime-500*time.Millisecond {
		t.Errorf("back after %s, before it was clean for %s", back, cleanTime)
	}

	began = time.Now()
	two.die()
	w.gone(t, two, began)
	t.Logf("plugins dead: one that refuses is answered for %s more", w.last(two).Sub(began))
	g.alerted(t, "IdcDead", "PluginDown")
	one.die()
	g.alerted(t, "FailoverNoneHealthy")
	w.answered(t, one, two)
	if idcs := g.state(t).Serving.IDCs; idcs["idc1"].Entry != 5000 || idcs["idc2"].Entry != 5000 {
		t.Errorf("both are dead, and served is %+v", idcs)
	}
	for _, name := range []string{"chat", "rules", "victoriametrics"} {
		if plugins.pid(t, name) != 0 {
			t.Errorf("%s lives", name)
		}
	}
	p.signal(t, syscall.SIGKILL) // it would wait for the storage, and there is no plugin that it must end
}
