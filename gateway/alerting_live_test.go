package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// The names under which the test's binary is the plugins of this test.
const (
	chatPlugin  = "notification-chat"
	rulesPlugin = "alerting-rules"
)

// openChat writes each group it is told of as a line into a file.
func openChat(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	var settings struct {
		File string `yaml:"file"`
	}
	if err := c.Decode(&settings); err != nil {
		return nil, err
	}
	return &sdk.Notification{Notify: func(_ context.Context, g *sdk.Group) error {
		line, err := json.Marshal(g)
		if err != nil {
			return err
		}
		file, err := os.OpenFile(settings.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = file.Write(append(line, '\n'))
		return err
	}}, nil
}

// openRules fires while the storage answers a query.
func openRules(_ context.Context, c sdk.Config) (*sdk.Alerting, error) {
	if err := c.Decode(&struct{}{}); err != nil {
		return nil, err
	}
	return &sdk.Alerting{Evaluate: func(ctx context.Context, s sdk.Source, send func([]sdk.Alert) error) error {
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		began := time.Now()
		for {
			if response, err := http.Get(s.QueryURL + "/api/v1/query?query=vector(1)"); err == nil {
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					alert := sdk.Alert{Labels: map[string]string{"alertname": "StorageAnswers"}, StartsAt: began, EndsAt: time.Now().Add(time.Minute)}
					if err := send([]sdk.Alert{alert}); err != nil {
						return err
					}
				}
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}}, nil
}

// alertingGateway is a gateway with the three kinds of plugins, all of them processes.
type alertingGateway struct {
	addresses
	told    string // what chat was told
	plugins string // the directory of the binaries
	args    []string
}

const operatorToken = "operator-0123456789abcdef"

func newAlertingGateway(t *testing.T) *alertingGateway {
	t.Helper()
	plugins := t.TempDir()
	for name, binary := range map[string]string{chatPlugin: os.Args[0], rulesPlugin: os.Args[0]} {
		if err := os.Symlink(binary, filepath.Join(plugins, name)); err != nil {
			t.Fatal(err)
		}
	}
	linkStorages(t, plugins)
	g := &alertingGateway{addresses: freeAddresses(t), plugins: plugins, told: filepath.Join(t.TempDir(), "told")}
	alertmanager := writeFile(t, `
route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 200ms, repeat_interval: 1h}
receivers: [{name: team, plugin_configs: [{plugin: chat}]}]
`)
	more := writeFile(t, fmt.Sprintf(`
extensions:
  plugins: {processes: {chat: {kind: notification, config: {file: %q}}, rules: {kind: alerting}}}
  alerting: {config_file: %q, data_directory: %q}
  console: {tokens: [{name: oncall, role: operator, token: %q}]}
service: {extensions: [file_storage, plugins, console, alerting]}
`, g.told, alertmanager, filepath.Join(t.TempDir(), "alerting"), operatorToken))
	g.args = []string{"--config", g.config(t, plugins), "--config", more}
	return g
}

// until waits for a group whose line has all of the texts.
func (g *alertingGateway) until(t *testing.T, texts ...string) {
	t.Helper()
	var told []byte
	for deadline := time.Now().Add(3 * patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		told, _ = os.ReadFile(g.told)
	lines:
		for line := range bytes.Lines(told) {
			for _, text := range texts {
				if !bytes.Contains(line, []byte(text)) {
					continue lines
				}
			}
			return
		}
	}
	t.Fatalf("nobody was told of %q:\n%s", texts, told)
}

// ask sends a request to Alertmanager's API.
func (g *alertingGateway) ask(t *testing.T, method, path, token, body string) (code int, answer string) {
	t.Helper()
	code, answer, err := g.try(method, path, token, body)
	if err != nil {
		t.Fatal(err)
	}
	return code, answer
}

func (g *alertingGateway) try(method, path, token, body string) (code int, answer string, err error) {
	request, err := http.NewRequest(method, "http://"+g.console+"/alertmanager"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Close = true
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// All is real: the gateway and its plugins are processes, rules are evaluated on VictoriaMetrics, and the gateway is killed.
func TestAlertingWithPlugins(t *testing.T) {
	g := newAlertingGateway(t)
	data := t.TempDir()
	start := func() *process {
		p := startRun(t, append(g.args, "--config", "yaml:extensions::file_storage::directory: "+data)...)
		p.expect(t, "Lockkeeper is ready")
		return p
	}
	p := start()
	g.until(t, `"StorageAnswers"`, `"status":"firing"`)
	if code, answer := g.ask(t, http.MethodPost, "/api/v2/alerts", "", `[{"labels":{"alertname":"Posted"}}]`); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", code, answer)
	}
	if code, answer := g.ask(t, http.MethodPost, "/api/v2/alerts", operatorToken, `[{"labels":{"alertname":"Posted"}}]`); code != http.StatusOK {
		t.Errorf("%d %s", code, answer)
	}
	g.until(t, `"Posted"`)
	if code, answer := g.ask(t, http.MethodGet, "/api/v2/alerts/groups", "", ""); code != http.StatusOK || !strings.Contains(answer, "StorageAnswers") {
		t.Errorf("%d %s", code, answer)
	}
	now := time.Now()
	silence := fmt.Sprintf(`{"matchers":[{"name":"alertname","value":"Quiet","isRegex":false}],"startsAt":%q,"endsAt":%q,"createdBy":"me","comment":"test"}`,
		now.Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339))
	if code, answer := g.ask(t, http.MethodPost, "/api/v2/silences", operatorToken, silence); code != http.StatusOK {
		t.Errorf("%d %s", code, answer)
	}
	p.signal(t, syscall.SIGKILL)
	p.exit(t)

	start()
	if _, answer := g.ask(t, http.MethodGet, "/api/v2/silences", "", ""); !strings.Contains(answer, `"Quiet"`) || !strings.Contains(answer, `"active"`) {
		t.Errorf("the silence is gone: %s", answer)
	}
	for _, name := range []string{"Quiet", "Loud"} {
		g.ask(t, http.MethodPost, "/api/v2/alerts", operatorToken, fmt.Sprintf(`[{"labels":{"alertname":%q}}]`, name))
	}
	g.until(t, `"Loud"`)
	told, err := os.ReadFile(g.told)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{`"groupLabels":{"alertname":"StorageAnswers"}`: 1, `"groupLabels":{"alertname":"Posted"}`: 1, "Quiet": 0} {
		if got := strings.Count(string(told), text); got != want {
			t.Errorf("told %d times of %s, want %d:\n%s", got, text, want, told)
		}
	}
}

// kill ends the process of a plugin, as soon as there is one.
func (g *alertingGateway) kill(t *testing.T, plugin string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if pid := g.pid(t, plugin); pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			return
		}
	}
	t.Fatalf("%s does not run", plugin)
}

// pid is the process of a plugin; 0: there is none just now.
func (g *alertingGateway) pid(t *testing.T, plugin string) int {
	t.Helper()
	response, err := http.Get("http://" + g.console + "/api/v1/plugins")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var list struct {
		Plugins []struct {
			Name string
			PID  int
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Plugins {
		if p.Name == plugin {
			return p.PID
		}
	}
	return 0
}

// What the gateway knows by itself is told of while the storage is dead, and by a channel that has just died, too.
func TestAlertsWithoutStorage(t *testing.T) {
	g := newAlertingGateway(t)
	startRun(t, g.args...).expect(t, "Lockkeeper is ready")
	if err := os.Remove(filepath.Join(g.plugins, "storage-victoriametrics")); err != nil {
		t.Fatal(err)
	}
	g.kill(t, "victoriametrics")
	began := time.Now()
	g.kill(t, "chat")
	g.ask(t, http.MethodPost, "/api/v2/alerts", operatorToken, `[{"labels":{"alertname":"Posted"}}]`)
	g.until(t, `"Posted"`)
	t.Logf("told of an alert by a killed channel after %s", time.Since(began))
	g.until(t, `"PluginDown"`, `"plugin":"victoriametrics"`, `"severity":"page"`, `"status":"firing"`)
	t.Logf("told of a dead storage after %s", time.Since(began))
}
