package deploy

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type release struct {
	Version     int
	ProjectName string `yaml:"project_name"`
	Builds      []struct {
		ID, Main, Binary                  string
		Env, Goos, Goarch, Flags, Ldflags []string
		ModTimestamp                      string `yaml:"mod_timestamp"`
	}
	Archives []struct {
		Formats         []string
		NameTemplate    string `yaml:"name_template"`
		WrapInDirectory bool   `yaml:"wrap_in_directory"`
		Files           []string
	}
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
		Algorithm    string
	}
	SBOMs []struct{ Artifacts string } `yaml:"sboms"`
	Signs []struct {
		Cmd, Artifacts, Signature string
		Args                      []string
	}
	Snapshot struct {
		VersionTemplate string `yaml:"version_template"`
	}
	Changelog struct{ Disable bool }
	Release   struct {
		Draft  bool
		GitHub struct{ Owner, Name string } `yaml:"github"`
	}
}

// A release has all programs of `make build`, each static, and a checksum, a bill of materials and a signature.
func TestRelease(t *testing.T) {
	var r release
	decoder := yaml.NewDecoder(strings.NewReader(readFile(t, "../.goreleaser.yaml")))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&r))
	want := map[string]string{"lockkeeper": "./gateway"}
	plugins, err := filepath.Glob("../plugins/*/*/main.go")
	require.NoError(t, err)
	for _, main := range plugins {
		folder := filepath.Dir(main)
		want["plugins/"+filepath.Base(filepath.Dir(folder))+"-"+filepath.Base(folder)] = "." + strings.TrimPrefix(folder, "..")
	}
	got := map[string]string{}
	for _, build := range r.Builds {
		got[build.Binary] = build.Main
		require.Equal(t, strings.TrimPrefix(build.Binary, "plugins/"), build.ID)
		require.Equal(t, []string{"CGO_ENABLED=0"}, build.Env)
		require.Equal(t, []string{"amd64", "arm64"}, build.Goarch)
	}
	require.Equal(t, want, got, "builds of .goreleaser.yaml: a line for each plugin")
	require.Contains(t, readFile(t, "../Makefile"), "\nrelease_files := "+strings.Join(r.Archives[0].Files, " ")+"\n")
	for _, pattern := range r.Archives[0].Files {
		files, err := filepath.Glob(filepath.Join("..", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
	}
	require.Equal(t, "sha256", r.Checksum.Algorithm)
	require.Equal(t, "archive", r.SBOMs[0].Artifacts)
	require.Equal(t, "checksum", r.Signs[0].Artifacts)
}

// The configuration is what goreleaser takes it for.
func TestReleaseCheck(t *testing.T) {
	goreleaser := needs(t, "goreleaser", ".cache/tools/goreleaser", "make goreleaser")
	config, err := filepath.Abs("../.goreleaser.yaml")
	require.NoError(t, err)
	text, err := output(t, goreleaser, "check", "--config", config)
	require.NoError(t, err, text)
}
