package pluginhost

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
)

// load decodes YAML text as the gateway does, ${…} included.
func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              []string{"yaml:" + text},
		ProviderFactories: []confmap.ProviderFactory{envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory()},
		DefaultScheme:     "env",
	})
	require.NoError(t, err)
	conf, err := resolver.Resolve(t.Context())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestSettingsOnTheWire(t *testing.T) {
	t.Setenv("DIGITS", "0123")
	t.Setenv("YES", "yes")
	t.Setenv("WORD", "hello")
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("s3cr<t\n"), 0o600))

	f := func(config, want string) {
		t.Helper()
		cfg, err := load(t, "processes: {x: {kind: storage, config: "+config+"}}")
		require.NoError(t, err)
		got, err := cfg.Processes["x"].Config.wire()
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
	// scalars keep their types
	f(`{retention: 30d, memory: 0.5, shards: 4, big: 9007199254740993, on: true, none: null, quoted: "8"}`,
		`{"retention":"30d","memory":0.5,"shards":4,"big":9007199254740993,"on":true,"none":null,"quoted":"8"}`)
	// a value from outside is text as it stands, a trailing newline apart
	f(`{a: "${env:DIGITS}", b: "${env:YES}", c: "${file:`+file+`}", d: "x-${env:WORD}"}`,
		`{"a":"0123","b":"yes","c":"s3cr<t","d":"x-hello"}`)
	// at any depth
	f(`{a: {b: [{c: "${env:DIGITS}"}, "${env:DIGITS}", 5, [], {}]}, d: {}}`,
		`{"a":{"b":[{"c":"0123"},"0123",5,[],{}]},"d":{}}`)
	// nothing
	f(`{}`, `{}`)
	f(`null`, `{}`)
}

func TestSettingsFromOneFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	require.NoError(t, os.WriteFile(file, []byte("retention: 30d\nshards: 4\n"), 0o600))
	cfg, err := load(t, "processes: {x: {kind: storage, config: \"${file:"+file+"}\"}}")
	require.NoError(t, err)
	got, err := cfg.Processes["x"].Config.wire()
	require.NoError(t, err)
	require.JSONEq(t, `{"retention":"30d","shards":4}`, string(got))
}

func TestSettingsAreNeverPrinted(t *testing.T) {
	cfg, err := load(t, "processes: {x: {kind: storage, config: {token: hunter2, deep: [{url: 'http://hunter2@x'}], shards: 4}}}")
	require.NoError(t, err)

	conf := confmap.New()
	require.NoError(t, conf.Marshal(cfg))
	printed := fmt.Sprint(conf.ToStringMap())
	require.NotContains(t, printed, "hunter2")
	require.Contains(t, printed, "token:[REDACTED]")
	require.Contains(t, printed, "shards:4")

	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, cfg.Processes), "hunter2")
	}
}
