package storage

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
)

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	var raw map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &raw))
	cfg := createDefaultConfig().(*Config)
	if err := confmap.NewFromStringMap(raw).Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfigMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := load(t, text)
		require.ErrorContains(t, err, want)
	}
	f(`{}`, "plugin: missing: name one of extensions::plugins::processes")
	f(`{plugin: x, plugins: y}`, "plugins")
	f(`{plugin: x, sending_queue: {storrage: y}}`, "storrage")
	f(`{plugin: x, timeout: -1s}`, "timeout")
}

// The README's example is the defaults, but for the plugin's name and the queue's place.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, example, _ := strings.Cut(string(readme), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	var whole map[string]map[string]map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(example), &whole))
	text, err := yaml.Marshal(whole["exporters"]["plugin/metrics"])
	require.NoError(t, err)
	cfg, err := load(t, string(text))
	require.NoError(t, err)

	want := createDefaultConfig().(*Config)
	want.Plugin = "victoriametrics"
	disk := component.MustNewID("file_storage")
	want.Queue.Get().StorageID = &disk
	require.Equal(t, want, cfg)
}
