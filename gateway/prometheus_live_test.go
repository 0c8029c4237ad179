package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startPrometheus runs Debian's Prometheus, set up as the README says, with one rule. It returns the file of the rule.
func startPrometheus(t *testing.T, g *alertingGateway, token, expr string) (p *process, rules string) {
	t.Helper()
	binary := needs(t, "prometheus", "../.cache/tools/prometheus", "make prometheus")
	rules = writeFile(t, prometheusRule(expr))
	config := writeFile(t, "global: {evaluation_interval: 1s, external_labels: {idc: a}}\nrule_files: ["+rules+"]\n"+
		alertingExample(t, "# prometheus.yml", "localhost:7070", g.console, "/run/secrets/lockkeeper-prometheus", writeFile(t, token+"\n")))
	p = startCommand(t, exec.Command(binary, "--config.file="+config, "--web.listen-address="+freeAddress(t),
		"--storage.tsdb.path="+filepath.Join(t.TempDir(), "data"),
		"--rules.alert.resend-delay=1s")) // what fires before it has looked up its Alertmanagers is sent to none
	p.expect(t, "Server is ready to receive web requests")
	return p, rules
}

func prometheusRule(expr string) string {
	return `groups: [{name: demo, rules: [{alert: FromPrometheus, expr: "` + expr + `", labels: {severity: page}, annotations: {summary: "it is {{ $value }}"}}]}]`
}

// Prometheus finds an Alertmanager in the gateway: what fires there is told of by a plugin, and what is over, too.
func TestPrometheusSendsAlerts(t *testing.T) {
	g := newAlertingGateway(t)
	startRun(t, g.args...).expect(t, "Lockkeeper is ready")
	p, rules := startPrometheus(t, g, operatorToken, "vector(7)")
	g.until(t, `"FromPrometheus"`, `"status":"firing"`, `"summary":"it is 7"`, `"idc":"a"`, `"severity":"page"`)
	if code, answer := g.ask(t, http.MethodGet, "/api/v2/alerts?filter=alertname%3DFromPrometheus", "", ""); code != http.StatusOK || !strings.Contains(answer, `"generatorURL":"http://`) {
		t.Errorf("%d %s", code, answer)
	}
	rewrite(t, rules, prometheusRule("vector(7) > 8"))
	p.signal(t, syscall.SIGHUP)
	g.until(t, `"FromPrometheus"`, `"status":"resolved"`)
}

// A Prometheus that may not post says what it lacks in its log, and nobody is told.
func TestPrometheusWithoutToken(t *testing.T) {
	g := newAlertingGateway(t)
	startRun(t, g.args...).expect(t, "Lockkeeper is ready")
	p, _ := startPrometheus(t, g, operatorToken+"0", "vector(7)")
	p.expect(t, "Error sending alert", "401 Unauthorized")
}
