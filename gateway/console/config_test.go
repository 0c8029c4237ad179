package console

import (
	"fmt"
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
	f(`{tokens: [{nam: x}]}`, "nam")
	f(`{tokens: [{role: viewer, token: 0123456789abcdef}]}`, "tokens::0: name: missing")
	f(`{tokens: [{name: a, token: 0123456789abcdef}]}`, "role: missing: viewer, operator or admin")
	f(`{tokens: [{name: a, role: root, token: 0123456789abcdef}]}`, `role: "root" is none of viewer, operator, admin`)
	f(`{tokens: [{name: a, role: viewer}]}`, "token: has 0 characters and needs at least 16: make one with `openssl rand -hex 20`")
	f(`{tokens: [{name: a, role: viewer, token: "0123456789abcde\n\n"}]}`, "token: has 15 characters")
	f(`{tokens: [{name: a, role: viewer, token: "0123456789 abcdef"}]}`, "not printable ASCII")
	f(`{tokens: [{name: a, role: viewer, token: 0123456789abcdef}, {name: a, role: viewer, token: 0123456789abcdeg}]}`, `the name "a" is there twice`)
	f(`{tokens: [{name: a, role: viewer, token: 0123456789abcdef}, {name: b, role: admin, token: "0123456789abcdef\n"}]}`, `"a" and "b" have the same token`)
	f(`{certificates: [{role: viewer}]}`, "certificates::0: name: missing")
	f(`{certificates: [{name: a, role: root}]}`, `role: "root" is none of viewer, operator, admin`)
	f(`{certificates: [{name: a, role: viewer}]}`, "certificates: need tls::client_ca_file")
	f(`{certificates: [{name: a, role: viewer}, {name: a, role: viewer}]}`, `the name "a" is there twice`)
	f(`{certificates: [{name: a, role: viewer}], tokens: [{name: a, role: viewer, token: 0123456789abcdef}]}`, `the name "a" is there twice`)
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

// No mistake and no print tells a token.
func TestTokensAreSecret(t *testing.T) {
	cfg, err := load(t, `{tokens: [{name: oncall, role: operator, token: "hunter2-hunter2-hunter2\n"}]}`)
	require.NoError(t, err)
	require.Equal(t, "hunter2-hunter2-hunter2", cfg.Tokens[0].value())
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg.Tokens), "hunter2")
	conf := confmap.New()
	require.NoError(t, conf.Marshal(cfg))
	require.Contains(t, fmt.Sprint(conf.ToStringMap()), "[REDACTED]")
	require.NotContains(t, fmt.Sprint(conf.ToStringMap()), "hunter2")
	_, err = load(t, `{tokens: [{name: a, role: a, token: hunter2}, {name: a, role: a, token: hunter2}]}`)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

// The README's first example is the defaults, the second a token from a file, the third a certificate.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var examples []*Config
	for _, block := range strings.Split(string(readme), "```yaml\n")[1:] {
		example, _, _ := strings.Cut(block, "```")
		var whole map[string]map[string]map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(example, "${file:/run/secrets/lockkeeper-oncall}", operatorToken)), &whole))
		text, err := yaml.Marshal(whole["extensions"]["console"])
		require.NoError(t, err)
		cfg, err := load(t, string(text))
		require.NoError(t, err)
		examples = append(examples, cfg)
	}
	require.Len(t, examples, 3)
	require.Equal(t, createDefaultConfig(), examples[0])
	require.Equal(t, []Token{{Name: "oncall", Role: "operator", Token: operatorToken}}, examples[1].Tokens)
	require.Equal(t, []Certificate{{"spiffe://example.com/oncall", "operator"}}, examples[2].Certificates)
}
