package alerting

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.yaml.in/yaml/v3"
)

func TestParseFile(t *testing.T) {
	f, err := readFile("testdata/full.yml")
	require.NoError(t, err)
	require.Len(t, f.Receivers, 3)
	require.Equal(t, []pluginConfig{{Plugin: "chat", Resolved: true, Timeout: 30 * time.Second, line: 26}}, f.plugins["team"])
	require.Equal(t, []pluginConfig{
		{Plugin: "chat", Resolved: true, Timeout: 30 * time.Second, line: 29},
		{Plugin: "phone", MaxAlerts: 10, Timeout: 5 * time.Second, RateLimit: rateLimit{"30/m", 30, time.Minute}, line: 30},
	}, f.plugins["oncall"])
	directory, err := filepath.Abs("testdata")
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(directory, "*.tmpl")}, f.Templates)
	webhook := f.Receivers[2].WebhookConfigs[0]
	require.Equal(t, filepath.Join(directory, "token"), webhook.HTTPConfig.Authorization.CredentialsFile)
}

// A file that Alertmanager takes is taken as it is.
func TestFileWithoutPlugins(t *testing.T) {
	const text = "route: {receiver: a, routes: [{receiver: a, matchers: ['a=\"b\"', c=~d|e]}]}\nreceivers:\n- {name: a, webhook_configs: [{url: 'http://x/'}]}\n"
	f, err := parseFile("x", []byte(text))
	require.NoError(t, err)
	require.Empty(t, f.plugins)
	require.Len(t, f.Receivers[0].WebhookConfigs, 1)
}

func TestFileMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := parseFile("a.yml", []byte(text))
		require.EqualError(t, err, want)
	}
	// Alertmanager's own, with lines of the file as it is, whatever stands before
	f("", "a.yml: no route provided in config")
	f("route: [", "a.yml:1: did not find expected node content")
	f("# a comment\n\nroute: {receiver: a}\nreceivers:\n- name: a\n  plugin_configs:\n  - plugin: chat\n\n  slak_configs: []\n", `a.yml:9: unknown key "slak_configs"`)
	f("route: {receiver: a}\nreceivers: [{name: a, plugin_configs: [{plugin: b}]}]\n\nrout: {}\ntemplate: []\n",
		"a.yml:4: unknown key \"rout\"\na.yml:5: unknown key \"template\"")
	f("receivers:\n- name: a\nroute:\n  receiver: a\n  routes:\n  - receiver: b\n", `a.yml:6: undefined receiver "b" used in route`)
	f("route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{}]}]\n", "a.yml: one of url or url_file must be configured")
	// ours
	f("route: {receiver: a}\nreceivers:\n- name: a\n  plugin_configs: [{plugin: chat, send_resolve: true}]\n",
		`a.yml:4: plugin_configs: unknown key "send_resolve": there are plugin, send_resolved, max_alerts, timeout, rate_limit`)
	f("route: {receiver: a}\nreceivers:\n- name: a\n  plugin_configs:\n  - send_resolved: true\n",
		"a.yml:5: plugin_configs: plugin: missing: the name of a notification plugin in extension plugins")
	f("route: {receiver: a}\nreceivers: [{name: a, plugin_configs: [chat]}]\n", "a.yml:2: plugin_configs: an entry is like {plugin: name}")
	f("route: {receiver: a}\nreceivers: [{name: a, plugin_configs: chat}]\n", "a.yml:2: plugin_configs: must be a list of entries like {plugin: name}")
	f("route: {receiver: a}\nreceivers: [{name: a, plugin_configs: [{plugin: x, timeout: 0s}]}]\n", "a.yml:2: plugin_configs: timeout: must be more than 0, is 0s")
	f("route: {receiver: a}\nreceivers: [{name: a, plugin_configs: [{plugin: x, max_alerts: -1}]}]\n",
		"a.yml:2: plugin_configs: max_alerts: must not be less than 0, is -1")
	f("route: {receiver: a}\nreceivers: [{name: a, plugin_configs: [{plugin: x, timeout: soon}]}]\n",
		"a.yml:2: cannot unmarshal !!str `soon` into time.Duration")
	f("route: {receiver: a}\nreceivers: [{name: a, plugin_configs: [{plugin: x, rate_limit: 30/day}]}]\n",
		`a.yml:2: plugin_configs: rate_limit: "30/day" is not like 30/m: a number of notifications a second, minute or hour (s, m, h)`)
	// all of ours at once
	f("route: {receiver: a}\nreceivers:\n- name: a\n  plugin_configs:\n  - {}\n  - {plugin: x, y: 1}\n",
		"a.yml:5: plugin_configs: plugin: missing: the name of a notification plugin in extension plugins\n"+
			`a.yml:6: plugin_configs: unknown key "y": there are plugin, send_resolved, max_alerts, timeout, rate_limit`)
}

func TestConfig(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		conf, err := confmaptest.LoadConf(write(t, text))
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, conf.Unmarshal(cfg))
		if err := cfg.Validate(); want != "" {
			require.ErrorContains(t, err, want)
		} else {
			require.NoError(t, err)
		}
	}
	f("data_directory: x", "")
	f("{data_directory: x, config_file: testdata/full.yml}", "")
	f("{}", "data_directory: missing")
	f("{data_directory: x, config_file: testdata/none.yml}", "config_file: open testdata/none.yml: no such file")
	f("{data_directory: x, config_file: "+write(t, "route: {receiver: b}")+"}", `undefined receiver "b"`)
	f("{data_directory: x, external_url: gateway}", `external_url: "gateway": it must be like http://`)
	f("{data_directory: x, max_alerts: 0}", "max_alerts: must be more than 0, is 0")
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.yml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func FuzzParseFile(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yml")
	require.NoError(f, err)
	f.Add(full)
	f.Add([]byte("receivers: &a [{name: x, plugin_configs: [{plugin: y}]}]\nroute: {receiver: x}\nb: *a"))
	f.Add([]byte("receivers: {plugin_configs: 1}"))
	f.Add([]byte("- plugin_configs"))
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := parseFile("x", text)
		if (parsed == nil) == (err == nil) {
			t.Fatal(parsed, err)
		}
	})
}

// What the README shows is what there is: its keys with their defaults, and a file that is taken.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var blocks []string
	for _, part := range strings.Split(string(readme), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	require.Len(t, blocks, 4)
	var shown struct {
		Extensions struct{ Alerting map[string]any }
	}
	require.NoError(t, yaml.Unmarshal([]byte(blocks[0]), &shown))
	cfg := &Config{}
	require.NoError(t, confmap.NewFromStringMap(shown.Extensions.Alerting).Unmarshal(cfg))
	want := createDefaultConfig().(*Config)
	want.ConfigFile, want.DataDirectory = "alertmanager.yml", "/var/lib/lockkeeper/alerting"
	require.Equal(t, want, cfg)
	f, err := parseFile("README.md", []byte(blocks[1]))
	require.NoError(t, err)
	all := newPluginConfig("chat")
	all.MaxAlerts, all.RateLimit, all.line = 100, rateLimit{"30/m", 30, time.Minute}, 13
	require.Equal(t, []pluginConfig{all}, f.plugins["oncall"])
}
