package pluginhost

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configtls"
	"go.yaml.in/yaml/v3"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestConfigMistakesComeAllAtOnce(t *testing.T) {
	_, err := load(t, `
start_timeout: 0s
processes:
  Bad_Name: {kind: storage}
  a: {}
  b: {kind: Storage, use: ../b, sha256: '12'}
  c: {kind: storage, address: acme.internal, use: c, sha256: '12', memory_limit: 1GiB}
  d: {kind: storage, tls: {insecure: true}}
  e: {kind: storage, address: "https://acme.internal:7443", tls: {cert_file: x}}
  f: {kind: storage, address: ":7443"}
`)
	require.Error(t, err)
	for _, want := range []string{
		"start_timeout: must be more than 0, is 0s",
		"processes::Bad_Name: a name has at most 63 of a-z, 0-9 and -",
		"processes::a: kind: missing: storage, alerting or notification",
		`processes::b: kind: "Storage" is none of storage, alerting, notification`,
		`use: "../b" is not a file name: name a binary in plugins.directory`,
		`processes::c: sha256: "12" is not 64 hexadecimal digits`,
		`address: "acme.internal" is not host:port, such as acme.internal:7443`,
		"use: is for a process that the gateway starts, and address for a server that somebody else runs: leave one of them away",
		"sha256: is for a process that the gateway starts, and address ",
		"memory_limit: is for a process that the gateway starts, and address ",
		"processes::d: tls: is for the connection to an address: set address, too",
		`processes::e: address: "https://acme.internal:7443" is not host:port`,
		"processes::e::tls: TLS configuration must include both certificate and key",
		`processes::f: address: ":7443" is not host:port`,
		`sha256: "12" is not 64 hexadecimal digits`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestConfigUnknownKey(t *testing.T) {
	_, err := load(t, `processes: {a: {kind: storage, adress: x}}`)
	require.ErrorContains(t, err, "adress")
	_, err = load(t, `procesess: {}`)
	require.ErrorContains(t, err, "procesess")
}

func TestIsName(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		require.Equal(t, want, isName(name), name)
	}
	f("victoriametrics", true)
	f("a-1", true)
	f("", false)
	f("-a", false)
	f("a-", false)
	f("a.b", false)
	f("a/b", false)
	f("A", false)
}

func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```yaml\n")[1:]
	require.Len(t, blocks, 2)
	f := func(block, name string, process Process) {
		t.Helper()
		example, _, _ := strings.Cut(block, "```")
		var whole struct {
			Extensions struct {
				Plugins map[string]any `yaml:"plugins"`
			} `yaml:"extensions"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(example), &whole))
		text, err := yaml.Marshal(whole.Extensions.Plugins)
		require.NoError(t, err)
		cfg, err := load(t, string(text))
		require.NoError(t, err)
		want := createDefaultConfig().(*Config)
		want.Processes = map[string]Process{name: process}
		require.Equal(t, want, cfg)
	}
	f(blocks[0], "victoriametrics", Process{Kind: "storage", Config: Settings{"retention": configopaque.String("30d")}})
	trust := &configtls.ClientConfig{Config: configtls.Config{CAFile: "/etc/lockkeeper/acme-ca.pem"}}
	f(blocks[1], "acme", Process{
		Kind: "notification", Address: "acme.internal:7443", TLS: trust, Config: Settings{"channel": configopaque.String("on-call")},
	})

	for _, variable := range sdk.Environment() {
		name, _, _ := strings.Cut(variable, "=")
		require.Contains(t, string(readme), strings.ToUpper(name))
	}
}
