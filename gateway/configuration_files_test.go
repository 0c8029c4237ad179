package main

import (
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// shippedFiles are the YAML files that people copy, and the test that reads them as those who get them do.
func shippedFiles() map[string]string {
	return map[string]string{
		"deploy/docker/docker-compose.yaml":       "deploy TestCompose",
		"deploy/docker/envoy.yaml":                "gateway TestEnvoyAcceptsTheSnippet",
		"deploy/docker/lockkeeper.yaml":           "deploy TestDockerfile",
		"deploy/envoy/*.yaml":                     "gateway TestEnvoyAcceptsTheSnippet",
		"deploy/grafana/provisioning/*/*.yaml":    "gateway TestBoardsAreProvisioned",
		"deploy/helm/lockkeeper/*.yaml":           "deploy TestChart",
		"deploy/helm/lockkeeper/*/*.yaml":         "deploy TestChart",
		"deploy/istio/*.yaml":                     "deploy TestIstioSnippets",
		"deploy/rules/*.yaml":                     "deploy/rules TestPromtoolChecksRules",
		"deploy/rules/tests/*.yaml":               "deploy/rules TestPromtoolTestsRules",
		"deploy/systemd/lockkeeper.yaml":          "deploy TestSystemdREADME",
		"examples/layers/*.yaml":                  "gateway TestValidate",
		"examples/layers/targets/*.yaml":          "gateway TestTargetFiles",
		"examples/sites/*.yaml":                   "gateway TestValidate",
		"examples/two-idc/*/lockkeeper.yaml":      "gateway TestDemoConfigurations",
		"examples/two-idc/alert/alertmanager.yml": "gateway TestDemoConfigurations",
		"examples/two-idc/sites/witness.yaml":     "gateway TestDemoConfigurations",
		"examples/two-idc/story/rules.yaml":       "gateway TestDemoConfigurations",
	}
}

// Somebody reads each file that is shipped.
func TestShippedFiles(t *testing.T) {
	used := map[string]bool{}
	for _, folder := range []string{"../deploy", "../examples"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules") {
				return fs.SkipDir
			}
			if extension := filepath.Ext(path); d.IsDir() || extension != ".yaml" && extension != ".yml" {
				return nil
			}
			path = strings.TrimPrefix(filepath.ToSlash(path), "../")
			for pattern := range shippedFiles() {
				if match, err := filepath.Match(pattern, path); err == nil && match {
					used[pattern] = true
					return nil
				}
			}
			t.Errorf("which test reads %s?", path)
			return nil
		})
		require.NoError(t, err)
	}
	for pattern, test := range shippedFiles() {
		require.True(t, used[pattern], "there is no %s", pattern)
		requireTest(t, test)
	}
}

// The files of targets in examples/layers are what Prometheus's file discovery takes.
func TestTargetFiles(t *testing.T) {
	files, err := filepath.Glob("../examples/layers/targets/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		var groups []struct {
			Targets []string
			Labels  map[string]string
		}
		decoder := yaml.NewDecoder(strings.NewReader(readFile(t, file)))
		decoder.KnownFields(true)
		require.NoError(t, decoder.Decode(&groups), file)
		for _, group := range groups {
			require.NotEmpty(t, group.Targets, file)
			for _, target := range group.Targets {
				_, _, err := net.SplitHostPort(target)
				require.NoError(t, err, file)
			}
			for label := range group.Labels {
				require.True(t, model.LegacyValidation.IsValidLabelName(label), "%s: %s", file, label)
			}
		}
	}
}

// The configurations of the demo's scenes are valid, with values as the demo gives them.
func TestDemoConfigurations(t *testing.T) {
	directory := t.TempDir()
	for name, text := range map[string]string{
		"machines.json": `{"machines": []}`, "clusters.json": `{"clusters": []}`, "listeners.json": `{"resources": []}`, "routes.json": `{"resources": []}`,
		"alertmanager.yml": readFile(t, "../examples/two-idc/alert/alertmanager.yml"),
	} {
		rewrite(t, filepath.Join(directory, name), text)
	}
	rules, err := filepath.Abs("../deploy/rules")
	require.NoError(t, err)
	for name, value := range map[string]string{
		"DIRECTORY": directory, "MACHINES": filepath.Join(directory, "machines.json"), "RULES": rules, "SECRET": "s3cret", "WEB": "127.0.0.1:8090", "MAIL": "127.0.0.1:25",
		"TOKEN": operatorToken, "KEY": "QUFBQUFBQUFBQUFBQUFBQQ==", "SITE": "berlin", "MODULE": "icmp", "INTERVAL": "1s", "TIMEOUT": "500ms", "PROFILE": "fast",
		"ADDRESS": "127.0.0.1",
		"DESK":    "127.0.0.1", "GOSSIP": "127.0.0.1", "GOSSIP_BERLIN": "127.0.0.1", "GOSSIP_TOKYO": "127.0.0.2", "GOSSIP_OUTSIDE": "127.0.0.3",
		"ENTRY_BERLIN": "127.0.0.1", "ENTRY_TOKYO": "127.0.0.2", "MESH_BERLIN": "127.0.0.1", "MESH_TOKYO": "127.0.0.2",
	} {
		t.Setenv("DEMO_"+name, value)
	}
	files, err := filepath.Glob("../examples/two-idc/*/*.yaml")
	require.NoError(t, err)
	for _, file := range files {
		if filepath.Base(file) == "rules.yaml" {
			_, mistakes := rulefmt.Parse([]byte(readFile(t, file)), false, model.UTF8Validation, parser.NewParser(parser.Options{}), nil)
			require.Empty(t, mistakes, file)
			continue
		}
		args := []string{"validate", "--config", file}
		if strings.Contains(file, "/story/") { // which is the scene idc, and more
			args = []string{"validate", "--config", "../examples/two-idc/idc/lockkeeper.yaml", "--config", file}
		}
		if code, out, stderr := call(t, args...); code != 0 {
			t.Errorf("%s: %s%s", file, out, stderr)
		}
	}
}
