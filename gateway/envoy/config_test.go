package envoy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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

func TestConfigExampleOfREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```yaml\n")
	require.True(t, found)
	example, _, _ := strings.Cut(rest, "```")
	var file struct {
		Receivers struct{ Envoy map[string]any }
	}
	require.NoError(t, yaml.Unmarshal([]byte(example), &file))
	c, err := load(t, confmap.NewFromStringMap(file.Receivers.Envoy))
	require.NoError(t, err)
	want := defaultConfig()
	want.Gateway, want.IDC.Locality = c.Gateway, "region"
	want.Series.Drop = []string{}
	want.Reporters = map[string]string{"inbound_log": "destination"}
	want.RecordAttributes = map[string]AttributeConfig{"deployment.id": {Header: "x-deployment-id"}}
	require.Equal(t, want, c, "the README shows the defaults")
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
