package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// peerTimeout is generous: a busy machine is not to look like a gateway that does not tell.
const peerTimeout = 5 * time.Second

// alertingCluster are three gateways that have the same alerts, and tell the same channel.
type alertingCluster struct {
	told     string
	gateways [3]*alertingGateway
	runs     [3]*process
}

func newAlertingCluster(t *testing.T) *alertingCluster {
	t.Helper()
	plugins := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(plugins, chatPlugin)); err != nil {
		t.Fatal(err)
	}
	alertmanager := writeFile(t, `
route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: team, plugin_configs: [{plugin: chat}]}]
`)
	c := &alertingCluster{told: filepath.Join(t.TempDir(), "told")}
	var join [3]string
	for i := range join {
		join[i] = freeAddress(t)
	}
	for i, name := range []string{"berlin", "outside", "tokyo"} {
		g := &alertingGateway{addresses: freeAddresses(t), told: c.told, plugins: plugins}
		host, port, _ := strings.Cut(g.self, ":")
		g.args = []string{"--no-default", "--config", writeFile(t, fmt.Sprintf(`
extensions:
  plugins: {directory: %q, processes: {chat: {kind: notification, config: {file: %q}}}}
  alerting: {config_file: %q, data_directory: %q, peer_timeout: %s}
  console: {endpoint: %q, tokens: [{name: oncall, role: operator, token: %q}]}
  cluster: {name: %s, site: %s, endpoint: %q, join: [%q, %q, %q]}
receivers: {otlp: {protocols: {grpc: {endpoint: %q}}}}
exporters: {debug: {}}
service:
  extensions: [plugins, console, alerting, cluster]
  pipelines: {metrics: {receivers: [otlp], exporters: [debug]}}
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: %s, port: %s}}}}]}}
`, plugins, c.told, alertmanager, filepath.Join(t.TempDir(), "alerting"), peerTimeout, g.console, operatorToken,
			name, name, join[i], join[0], join[1], join[2], g.grpc, host, port))}
		c.gateways[i] = g
	}
	for i := range c.gateways {
		c.start(t, i)
	}
	for _, g := range c.gateways {
		g.shows(t, "/api/v2/status", `"name":"berlin"`, `"name":"outside"`, `"name":"tokyo"`, `"status":"ready"`)
	}
	return c
}

func (c *alertingCluster) start(t *testing.T, i int) {
	t.Helper()
	c.runs[i] = startRun(t, c.gateways[i].args...)
	c.runs[i].expect(t, "Lockkeeper is ready")
}

// kill is a gateway's sudden end.
func (c *alertingCluster) kill(t *testing.T, i int) {
	t.Helper()
	c.runs[i].signal(t, syscall.SIGKILL)
	c.runs[i].exit(t)
}

// shows waits until an answer of the API has all of the texts.
func (g *alertingGateway) shows(t *testing.T, path string, texts ...string) {
	t.Helper()
	answer := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, answer, _ = g.try(http.MethodGet, path, "", "")
		missing := ""
		for _, text := range texts {
			if !strings.Contains(answer, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
	}
	t.Fatalf("%s does not have all of %q: %s", path, texts, answer)
}

// send posts alerts to all gateways again and again, as whoever has them does, until stop is called.
func (c *alertingCluster) send(t *testing.T, names ...string) (stop func()) {
	var alerts []string
	began := time.Now().Format(time.RFC3339Nano)
	for _, name := range names {
		alerts = append(alerts, fmt.Sprintf(`{"labels":{"alertname":%q},"startsAt":%q}`, name, began))
	}
	body := "[" + strings.Join(alerts, ",") + "]"
	ctx, cancel := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	for _, g := range c.gateways {
		sending.Go(func() {
			for ctx.Err() == nil {
				_, _, _ = g.try(http.MethodPost, "/api/v2/alerts", operatorToken, body)
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	return func() { cancel(); sending.Wait() }
}

// everybody's turn at what is known is over.
func (c *alertingCluster) rest() { time.Sleep(2*peerTimeout + 5*time.Second) }

// Three gateways tell once what all of them know, and a silence made at any of them holds at all.
func TestGatewaysTellOnce(t *testing.T) {
	c := newAlertingCluster(t)
	now := time.Now()
	silence := fmt.Sprintf(`{"matchers":[{"name":"alertname","value":"Quiet","isRegex":false}],"startsAt":%q,"endsAt":%q,"createdBy":"me","comment":"test"}`,
		now.Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339))
	code, made := c.gateways[2].ask(t, http.MethodPost, "/api/v2/silences", operatorToken, silence)
	if code != http.StatusOK {
		t.Fatal(code, made)
	}
	for _, g := range c.gateways {
		g.shows(t, "/api/v2/silences", `"Quiet"`, `"active"`)
	}
	defer c.send(t, "Loud", "Other", "Quiet")()
	c.gateways[0].until(t, `"Other"`)
	c.rest()
	keys := c.gateways[0].keys(t)
	for name, want := range map[string]int{"Loud": 1, "Other": 1, "Quiet": 0} {
		if got := keys[fmt.Sprintf(`{}:{alertname=%q}`, name)]; got != want {
			t.Errorf("told %d times of %s, want %d", got, name, want)
		}
	}
	id := strings.Split(made, `"`)[3]
	if code, answer := c.gateways[1].ask(t, http.MethodDelete, "/api/v2/silence/"+id, operatorToken, ""); code != http.StatusOK {
		t.Fatal(code, answer)
	}
	for _, g := range c.gateways {
		g.shows(t, "/api/v2/silences", `"expired"`)
	}
	c.gateways[0].until(t, `"Quiet"`)
}

// Whichever of three gateways is killed at whatever moment, everybody is told of everything, and of nothing more than twice, under the same key.
func TestKillsOfGatewaysLoseNoNotification(t *testing.T) {
	kills := 5
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	c := newAlertingCluster(t)
	killed := [3]int{}
	for round := range kills {
		var names []string
		for n := range 5 {
			names = append(names, fmt.Sprintf("Kill%d-%d", round, n))
		}
		stop := c.send(t, names...)
		time.Sleep(rand.N(500 * time.Millisecond)) // the moment of death is what varies
		victim := rand.N(3)
		killed[victim]++
		c.kill(t, victim)
		c.start(t, victim)
		for _, name := range names {
			c.gateways[0].until(t, strconv.Quote(name), `"status":"firing"`)
		}
		stop()
	}
	c.rest()
	repeats, keys := 0, c.gateways[0].keys(t)
	for key, times := range keys {
		repeats += times - 1
		if times > 2 {
			t.Errorf("told %d times of %s", times, key)
		}
	}
	t.Logf("killed %v: %d groups told of, %d repeats", killed, len(keys), repeats)
	if len(keys) != 5*kills {
		t.Errorf("told of %d groups, want %d", len(keys), 5*kills)
	}
}
