package pluginhost

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.yaml.in/yaml/v3"
)

func TestConfigMistakesComeAllAtOnce(t *testing.T) {
	_, err := load(t, `
start_timeout: 0s
processes:
  Bad_Name: {kind: storage}
  a: {}
  b: {kind: Storage, use: ../b, sha256: '12'}
`)
	require.Error(t, err)
	for _, want := range []string{
		"start_timeout: must be more than 0, is 0s",
		"processes::Bad_Name: a name has at most 63 of a-z, 0-9 and -",
		"processes::a: kind: missing: storage, alerting or notification",
		`processes::b: kind: "Storage" is none of storage, alerting, notification`,
		`use: "../b" is not a file name: name a binary in plugins.directory`,
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
	_, example, _ := strings.Cut(string(readme), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
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
	want.Processes = map[string]Process{"victoriametrics": {Kind: "storage", Config: Settings{"retention": configopaque.String("30d")}}}
	require.Equal(t, want, cfg)

	for _, name := range environmentNames() {
		require.Contains(t, string(readme), strings.ToUpper(name))
	}
}
