package console

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
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
	f(`{endpint: "localhost:1"}`, "endpint")
	f(`{endpoint: ""}`, "endpoint: missing")
	f(`{tls: {cert_fil: x}}`, "cert_fil")
	f(`{keepalive: {idle: 1s}}`, "idle")
}

func TestConfigOfTheServer(t *testing.T) {
	cfg, err := load(t, `{endpoint: "localhost:1", write_timeout: 5s, keepalive: {idle_timeout: 7s}}`)
	require.NoError(t, err)
	require.Equal(t, "localhost:1", cfg.Server.NetAddr.Endpoint)
	server, err := cfg.Server.ToServer(t.Context(), nil, componenttest.NewNopTelemetrySettings(), http.NotFoundHandler())
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, server.WriteTimeout)
	require.Equal(t, 7*time.Second, server.IdleTimeout)
}

// The README's example is the defaults.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, example, _ := strings.Cut(string(readme), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	var whole map[string]map[string]map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(example), &whole))
	text, err := yaml.Marshal(whole["extensions"]["console"])
	require.NoError(t, err)
	cfg, err := load(t, string(text))
	require.NoError(t, err)
	require.Equal(t, createDefaultConfig(), cfg)
}
