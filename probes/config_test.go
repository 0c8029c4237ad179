package probes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T, conf *confmap.Conf) (*Config, error) {
	t.Helper()
	c := defaultConfig()
	if err := conf.Unmarshal(c); err != nil {
		return nil, err
	}
	return c, confmap.Validate(c)
}

// loadText loads what stands below receivers::probes.
func loadText(t *testing.T, text string) *Config {
	t.Helper()
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &tree))
	c, err := load(t, confmap.NewFromStringMap(tree))
	require.NoError(t, err)
	return c
}

func TestConfigExampleOfREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```yaml\n")
	require.True(t, found)
	example, _, _ := strings.Cut(rest, "```")
	var file struct {
		Receivers struct{ Probes map[string]any }
	}
	require.NoError(t, yaml.Unmarshal([]byte(example), &file))
	c, err := load(t, confmap.NewFromStringMap(file.Receivers.Probes))
	require.NoError(t, err)
	require.Equal(t, defaultConfig().FlushInterval, c.FlushInterval, "the README shows the defaults")
	require.Equal(t, defaultConfig().Machines, c.Machines, "the README shows the defaults")
	for name, kind := range map[string]string{"page": "http", "port": "tcp", "health": "grpc", "ping": "icmp", "answer": "dns"} {
		m := c.Modules[name]
		m.DNS.QueryName = ""
		require.Empty(t, cmp.Diff(defaultModule(kind), m, cmpopts.EquateEmpty()), "the README shows the defaults")
	}
}

// A module that people paste from blackbox_exporter's examples works as it is there.
func TestModulesOfBlackboxExporter(t *testing.T) {
	c := loadText(t, `
modules:
  http_2xx:
    prober: http
    timeout: 5s
    http: {valid_http_versions: ["HTTP/1.1", "HTTP/2.0"], valid_status_codes: [], method: GET, headers: {Host: vhost.example.com, Accept-Language: en-US},
      no_follow_redirects: false, fail_if_ssl: false, fail_if_not_ssl: false, fail_if_body_matches_regexp: ["Could not connect to database"],
      fail_if_body_not_matches_regexp: ["Download the latest version here"], fail_if_header_matches: [{header: Set-Cookie, allow_missing: true, regexp: '.*'}],
      fail_if_header_not_matches: [{header: Access-Control-Allow-Origin, regexp: '(\*|example\.com)'}], tls_config: {insecure_skip_verify: false},
      preferred_ip_protocol: ip4, ip_protocol_fallback: false, body_size_limit: 10MB}
  smtp_starttls:
    prober: tcp
    timeout: 5s
    tcp: {query_response: [{expect: "^220 ([^ ]+) ESMTP (.+)$"}, {send: "EHLO prober\r"}, {expect: "^250-STARTTLS"}, {send: "STARTTLS\r"},
      {expect: "^220"}, {starttls: true}, {send: "EHLO prober\r"}, {expect: "^250-AUTH"}, {send: "QUIT\r"}]}
  grpc_plain: {prober: grpc, grpc: {tls: false, service: "service1"}}
`)
	require.EqualValues(t, 10<<20, c.Modules["http_2xx"].HTTP.BodySizeLimit)
	require.Equal(t, 5*time.Second, c.Modules["http_2xx"].Timeout)
	require.Len(t, c.Modules["smtp_starttls"].TCP.QueryResponse, 9)
	require.Equal(t, "service1", c.Modules["grpc_plain"].GRPC.Service)
}

// What the command config prints of a module is what can be set.
func TestModulesArePrinted(t *testing.T) {
	conf := confmap.New()
	require.NoError(t, conf.Marshal(loadText(t, `
modules: {entry: {prober: http, http: {bearer_token: secret, fail_if_body_matches_regexp: [a.b], body_size_limit: 2KB}}}
targets: [{module: entry, target: "http://a"}]`)))
	require.Equal(t, "http", conf.Get("modules::entry::prober"))
	require.False(t, conf.IsSet("modules::entry::tcp"))
	require.Equal(t, []any{"a.b"}, conf.Get("modules::entry::http::fail_if_body_matches_regexp"))
	require.Equal(t, "2048", conf.Get("modules::entry::http::body_size_limit"))
	require.Equal(t, "[REDACTED]", conf.Get("modules::entry::http::bearer_token"))
}

func TestModuleNames(t *testing.T) {
	c := loadText(t, `modules: {tcp: {prober: http}}`)
	m, err := c.Module("grpc")
	require.NoError(t, err)
	require.Equal(t, defaultModule("grpc"), m, "a kind is a module, too")
	m, err = c.Module("tcp")
	require.NoError(t, err)
	require.Equal(t, "http", m.Prober, "unless a module has its name")
	_, err = c.Module("ping")
	require.ErrorContains(t, err, "use one of dns, grpc, http, icmp, tcp")
}

// Each file of testdata/bad is named by the mistake it shows; its first line is the comment "# want: part of the error".
func TestBadConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		want, _, _ := strings.Cut(strings.TrimPrefix(string(content), "# want: "), "\n")
		conf, err := confmaptest.LoadConf(file)
		require.NoError(t, err)
		_, err = load(t, conf)
		require.ErrorContains(t, err, want, file)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(`
modules: {a: {prober: tcp, timeout: 1ms}, b: {prober: x}}
targets: [{module: c, target: "a:1"}, {module: tcp, target: "a", subject: x, interval: 1ms}]
`), &tree))
	_, err := load(t, confmap.NewFromStringMap(tree))
	for _, want := range []string{"modules::a: timeout", "modules::b: prober", "targets::0::module", "targets::1::target", "targets::1: interval", "subject: \"x\""} {
		require.ErrorContains(t, err, want)
	}
}
