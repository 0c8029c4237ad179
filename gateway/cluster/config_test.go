package cluster

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
)

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	var raw map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &raw))
	cfg := createDefaultConfig()
	if err := confmap.NewFromStringMap(raw).Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfig(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	cfg, err := load(t, `{site: berlin}`)
	require.NoError(t, err)
	require.Equal(t, &Config{Name: host, Site: "berlin", Endpoint: "localhost:7946"}, cfg)

	cfg, err = load(t, `{name: a, site: b, endpoint: ":7946", advertise: "[2001:db8::1]:7946", join: ["192.0.2.1:7946", "witness.example.net:7946"], keys: ["`+keyA+`\n", `+keyB+`]}`)
	require.NoError(t, err)
	keys, err := cfg.keys()
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte(strings.Repeat("A", 16)), []byte(strings.Repeat("B", 24))}, keys)
	require.NotContains(t, cfg.Keys[0].String(), "QUFB")
}

func TestConfigMistakes(t *testing.T) {
	f := func(text string, wants ...string) {
		t.Helper()
		_, err := load(t, text)
		for _, want := range wants {
			require.ErrorContains(t, err, want)
		}
	}
	f(`{}`, "site: missing: where this gateway stands")
	f(`{sit: berlin}`, "sit")
	f(`{name: a/b, site: b}`, `name: must be 1 to 63 letters, digits, dots, dashes and underscores, is "a/b"`)
	f(`{site: b, endpoint: nowhere}`, `endpoint: "nowhere": must be like 192.0.2.1:7946`)
	f(`{site: b, endpoint: "192.0.2.1:7946"}`, "keys: missing: without one whoever reaches 192.0.2.1:7946 could move traffic. Make one: openssl rand -base64 32")
	f(`{site: b, endpoint: ":7946", keys: [`+keyA+`]}`, `advertise: missing: with the endpoint ":7946" the others must be told one address`)
	// All at once.
	f(`{name: "", site: "ö", endpoint: "1:2:3", advertise: "0.0.0.0:1", join: ["a:1", "a", "[::]:1"], keys: [nothing, "`+keyA[:8]+`"]}`,
		"name:", "site:", `endpoint: "1:2:3"`, `advertise: "0.0.0.0:1" is no address that others could reach`, `join[1]: "a"`, `join[2]: "[::]:1" is no address of a member`,
		"keys[0]: must be base64", "keys[1]: must be 16, 24 or 32 bytes in base64, is 6")
}

// The example on the page is a configuration, and every metric, reason and alert is there.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme := string(text)
	_, block, _ := strings.Cut(readme, "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	var all struct{ Extensions map[string]any }
	require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(block, "${file:/run/secrets/gossip-key}", keyA)), &all))
	one, err := yaml.Marshal(all.Extensions["cluster"])
	require.NoError(t, err)
	_, err = load(t, string(one))
	require.NoError(t, err)
	require.Contains(t, readme, "default "+createDefaultConfig().Endpoint)

	source, err := os.ReadFile("metrics.go")
	require.NoError(t, err)
	metrics := strings.Split(string(source), `"lockkeeper_cluster_`)[1:]
	require.Len(t, metrics, 8)
	for _, part := range metrics {
		name, _, _ := strings.Cut(part, `"`)
		require.Contains(t, readme, "`lockkeeper_cluster_"+name)
	}
	for _, reason := range reasons() {
		require.Contains(t, readme, "`"+reason+"`")
	}
	for _, alert := range []string{"SiteSilent", "ClusterNameClash"} {
		require.Contains(t, readme, "`"+alert+"`")
	}
}
