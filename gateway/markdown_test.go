package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// block is code in a Markdown file.
type block struct {
	file, language, text string
	line                 int
}

// blocks are all code blocks in the Markdown of this project.
func blocks(t *testing.T) (all []block) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".cache", "node_modules", "bin", "scaffold", "lockkeeper-data"}, d.Name()):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var open *block
		for i, line := range strings.Split(string(text), "\n") {
			fence := strings.TrimSpace(line)
			switch {
			case open == nil && strings.HasPrefix(fence, "```"):
				open = &block{file: path, language: strings.TrimPrefix(fence, "```"), line: i + 2}
			case open != nil && fence == "```":
				all = append(all, *open)
				open = nil
			case open != nil:
				open.text += line + "\n"
			}
		}
		require.Nil(t, open, "%s: a block of code does not end", path)
		return nil
	})
	require.NoError(t, err)
	return all
}

// Each command of ours in the Markdown is one, with flags that it has.
func TestMarkdownCommands(t *testing.T) {
	n := 0
	for _, b := range blocks(t) {
		for i, line := range strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n") {
			args, ok := ownCommand(line)
			if !ok {
				continue
			}
			n++
			if err := parseCommand(args); err != nil {
				t.Errorf("%s:%d: %q: %v", b.file, b.line+i, line, err)
			}
		}
	}
	require.Greater(t, n, 50)
	t.Logf("%d commands", n)
}

// ownCommand are the arguments of a line that calls lockkeeper.
func ownCommand(line string) (args []string, ok bool) {
	line, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "$ "), " #")
	for _, end := range []string{" | ", " > ", " 2>", " &", ";", " >> "} {
		line, _, _ = strings.Cut(line, end)
	}
	fields := strings.Fields(line)
	if len(fields) < 2 || fields[0] != "lockkeeper" && fields[0] != "bin/lockkeeper" || strings.ContainsAny(line, "│─└") {
		return nil, false // or a picture
	}
	return fields[1:], true
}

func parseCommand(args []string) error {
	cmd, rest, err := newRootCommand().Find(args)
	if err != nil {
		return err
	}
	if !cmd.HasParent() {
		return fmt.Errorf("there is no such command")
	}
	cmd.FParseErrWhitelist.UnknownFlags = false
	if err := cmd.ParseFlags(rest); !errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return nil
}

// Each YAML in the Markdown is well-formed, and what is a configuration of the gateway is valid.
func TestMarkdownConfigurations(t *testing.T) {
	// Files that examples name, so that the rest of the example can be checked.
	directory, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	rewrite(t, secret, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	for name, from := range map[string]string{
		"endpoints.yaml": "testdata/endpoints.yaml", "machines.yaml": "testdata/machines.yaml", "alertmanager.yml": "testdata/alertmanager/alertmanager.yml",
	} {
		rewrite(t, filepath.Join(directory, name), readFile(t, from))
	}
	for _, name := range []string{"listeners.yaml", "routes.yaml"} {
		rewrite(t, filepath.Join(directory, name), "resources: []\n")
	}
	all := blocks(t)
	t.Chdir(directory)
	n := 0
	for _, b := range all {
		if b.language != "yaml" {
			continue
		}
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(b.text), &document); err != nil {
			t.Errorf("%s:%d: %v", b.file, b.line, err)
			continue
		}
		if !configures(&document) {
			_, known := otherYAML()[b.file]
			require.True(t, known, "%s:%d is no configuration of the gateway: which test reads it?", b.file, b.line)
			continue
		}
		n++
		text := runSecrets.ReplaceAllString(b.text, "$${file:"+secret+"}")
		if code, out, stderr := call(t, "validate", "--config", writeFile(t, text)); code != 0 {
			t.Errorf("%s:%d: %s%s", b.file, b.line, out, stderr)
		}
	}
	t.Logf("%d configurations", n)
}

var runSecrets = regexp.MustCompile(`\$\{file:/run/secrets/[a-z-]+\}`)

// configures tells whether a document is a part of the gateway's configuration, by its keys.
func configures(document *yaml.Node) bool {
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return false
	}
	for i, key := range document.Content[0].Content {
		if i%2 == 0 && !slices.Contains([]string{"receivers", "processors", "exporters", "extensions", "connectors", "service"}, key.Value) {
			return false
		}
	}
	return true
}

// otherYAML are the pages with YAML that is something else, and what holds it right.
func otherYAML() map[string]string {
	return map[string]string{
		"../deploy/helm/README.md":             "deploy's test of the chart's values",
		"../deploy/rules/README.md":            "a line of Prometheus's own file",
		"../examples/plugins/python/README.md": "the plugin's own test",
		"../gateway/alerting/README.md":        "gateway/alerting's and amtool's tests",
		"../gateway/envoy/README.md":           "TestGray…, with certificates",
		"../gateway/failover/SCENARIOS.md":     "gateway/failover's test of scenarios",
		"../plugins/alerting/rules/README.md":  "the plugin's own test",
		"../probes/README.md":                  "probes' test of machines",
		"../xds/README.md":                     "xds' tests",
	}
}
