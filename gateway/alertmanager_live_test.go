package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// called is what a channel was told.
type called struct {
	header http.Header
	body   string
}

// channels stands for all that the file's receivers call: Slack, a webhook, and a proxy to the rest of the world, which is closed.
func channels(t *testing.T) (url string, slack, hook chan called) {
	slack, hook = make(chan called, 10_000), make(chan called, 10_000)
	take := func(calls chan called) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			calls <- called{r.Header, string(body)}
			_, _ = io.WriteString(w, "ok")
		}
	}
	mux := http.NewServeMux()
	mux.Handle("POST /slack", take(slack))
	mux.Handle("POST /hook", take(hook))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, slack, hook
}

// next is the first call of a channel that was not looked at.
func next(t *testing.T, calls chan called) called {
	t.Helper()
	select {
	case c := <-calls:
		return c
	case <-time.After(patience):
		t.Fatal("nobody called")
		return called{}
	}
}

// install puts testdata/alertmanager into a directory of its own, with the secrets that it reads.
func install(t *testing.T, url string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	if err := os.CopyFS(directory, os.DirFS("testdata/alertmanager")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(directory, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"slack_url": url + "/slack", "teams_url": url + "/teams", "webhook_url": url + "/hook", "webhook_token": "hook-secret",
		"smtp_password": "x", "pagerduty_key": "x", "opsgenie_key": "x", "pushover_user": "x", "pushover_token": "x",
	} {
		rewrite(t, filepath.Join(directory, "secrets", name), text)
	}
	return directory
}

// routed is which receivers the gateway has put each alert to, by the alert's label "case".
func (g *alertingGateway) routed(t *testing.T) map[string][]string {
	t.Helper()
	_, answer := g.ask(t, http.MethodGet, "/api/v2/alerts/groups", "", "")
	var groups []struct {
		Receiver struct{ Name string }
		Alerts   []struct{ Labels map[string]string }
	}
	if err := json.Unmarshal([]byte(answer), &groups); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	receivers := map[string][]string{}
	for _, group := range groups {
		for _, alert := range group.Alerts {
			if c := alert.Labels["case"]; c != "" {
				receivers[c] = append(receivers[c], group.Receiver.Name)
			}
		}
	}
	for _, r := range receivers {
		slices.Sort(r)
	}
	return receivers
}

// startIn runs the gateway with the file as Alertmanager runs with it: where its paths begin, and with a proxy to the rest of the world.
func (g *alertingGateway) startIn(t *testing.T, directory, proxy string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"run"}, g.args...)...)
	cmd.Dir = directory
	cmd.Env = append(os.Environ(), mainEnv+"=1", "LOCKKEEPER_DATA="+t.TempDir(), "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy)
	startCommand(t, cmd).expect(t, "Lockkeeper is ready")
}

// An Alertmanager's file works as it is: each alert goes where Alertmanager's own command line says that it goes, and arrives.
func TestAlertmanagersFile(t *testing.T) {
	url, slack, hook := channels(t)
	directory := install(t, url)
	file := filepath.Join(directory, "alertmanager.yml")
	g := newAlertingGateway(t)
	g.args = append(g.args, "--config", "yaml:extensions::alerting::config_file: "+file)
	remote := newAmtool(t, g, operatorToken)
	local := amtool{binary: remote.binary, home: t.TempDir()}
	local.says(t, "SUCCESS", "check-config", file)
	if code, stdout, stderr := call(t, append([]string{"validate"}, g.args...)...); code != 0 {
		t.Fatalf("validate: %d %s%s", code, stdout, stderr)
	}
	g.startIn(t, directory, url)

	var alerts []map[string]map[string]string
	want := map[string][]string{}
	for i, line := range strings.Split(strings.TrimSpace(labelSets), "\n") {
		labels := append(strings.Fields(line), "case="+strconv.Itoa(i))
		receivers := local.says(t, "", append([]string{"config", "routes", "test", "--config.file", file}, labels...)...)
		remote.says(t, receivers, append([]string{"config", "routes", "test"}, labels...)...)
		want[strconv.Itoa(i)] = slices.Sorted(strings.SplitSeq(receivers, ","))
		set := map[string]string{}
		for _, label := range labels {
			name, value, _ := strings.Cut(label, "=")
			set[name] = value
		}
		alerts = append(alerts, map[string]map[string]string{"labels": set})
	}
	body, _ := json.Marshal(alerts)
	if code, answer := g.ask(t, http.MethodPost, "/api/v2/alerts", operatorToken, string(body)); code != http.StatusOK {
		t.Fatalf("%d %s", code, answer)
	}
	var got map[string][]string
	for deadline := time.Now().Add(patience); !reflect.DeepEqual(got, want); time.Sleep(20 * time.Millisecond) {
		if got = g.routed(t); time.Now().After(deadline) {
			t.Fatalf("routed to %v, amtool says %v", got, want)
		}
	}
	remote.says(t, "Slow", "alert", "query", "--inhibited")
	if c := next(t, slack); !strings.Contains(c.body, "[FIRING] Watchdog (a)") || !strings.Contains(c.body, "#watchdog") {
		t.Errorf("Slack was told %s", c.body)
	}
	if c := next(t, hook); c.header.Get("Authorization") != "Bearer hook-secret" || !strings.Contains(c.body, `"receiver":"tickets"`) {
		t.Errorf("the webhook was told %s with %v", c.body, c.header)
	}
}

// labelSets are alerts for every branch of the file's routes.
const labelSets = `
alertname=Watchdog idc=a
alertname=Unknown
alertname=DataCentreDown idc=b severity=critical
alertname=Slow idc=a severity=warning service=cart
alertname=Slow idc=a severity=critical service=cart
alertname=Slow idc=lab severity=critical service=cart
alertname=Slow idc=a severity=page team=payments
alertname=Slow idc=a severity=page team=payments tier=gold
alertname=Slow idc=a severity=page team=payments tier=tin
alertname=Slow idc=a severity=critical team=payments tier=platinum service=checkout
alertname=Slow idc=a severity=critical
alertname=Disk idc=lab severity=critical
alertname=Slow severity=info service=checkout-canary
alertname=Slow severity=info service=checkout-canary-2
alertname=Slow severity=warning service=checkout owner=team-shop
alertname=Slow severity=warning service=checkout owner=team-
alertname=Slow service=cart-canary
alertname=Slow severity=criticality service=search
`
