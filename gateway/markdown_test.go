package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// block is code in a Markdown file.
type block struct {
	file     string // from the root of the repository
	language string // none: code within a line
	text     string
	line     int
}

// markdown are all pages of this project, by their paths from its root. What `lockkeeper plugin new` writes is held by the tests of that.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".cache", "node_modules", "bin", "dist", "scaffold", "lockkeeper-data"}, d.Name()):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			text, err := os.ReadFile(path)
			pages[strings.TrimPrefix(filepath.ToSlash(path), "../")] = string(text)
			return err
		}
		return nil
	})
	require.NoError(t, err)
	return pages
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// blocks are all code in the Markdown of this project: blocks, and what is within lines.
func blocks(t *testing.T) (blocks, spans []block) {
	t.Helper()
	for file, text := range markdown(t) {
		var open *block
		for i, line := range strings.Split(text, "\n") {
			fence := strings.TrimSpace(line)
			require.False(t, strings.HasPrefix(fence, "~~~"), "%s:%d: blocks begin with ```", file, i+1)
			switch {
			case open == nil && strings.HasPrefix(fence, "```"):
				open = &block{file: file, language: strings.TrimPrefix(fence, "```"), line: i + 2}
			case open != nil && fence == "```":
				blocks = append(blocks, *open)
				open = nil
			case open != nil:
				open.text += line + "\n"
			default:
				for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
					spans = append(spans, block{file: file, text: span[1], line: i + 1})
				}
			}
		}
		require.Nil(t, open, "%s: a block of code does not end", file)
	}
	return blocks, spans
}

// Somebody answers for each block of code: a test that runs or reads it, or, for configurations, commands and queries, the tests of these.
func TestMarkdownBlocks(t *testing.T) {
	all, _ := blocks(t)
	used := map[held]bool{}
	for _, b := range all {
		h, isHeld := b.held()
		used[h] = true
		switch b.language {
		case "sh", "promql": // TestMarkdownCommands, TestMarkdownQueries
		case "text":
			if line := b.shownCommand(); line != "" && !isHeld {
				t.Errorf("%s:%d: a command, which nobody checks in a block of text: %s", b.file, b.line, line)
			}
		case "yaml": // TestMarkdownConfigurations, if it is one
			if !isHeld && !b.configures(t) {
				t.Errorf("%s:%d is no configuration of the gateway: which test reads it?", b.file, b.line)
			}
		case "json", "go":
			if !isHeld {
				t.Errorf("%s:%d: which test reads it?", b.file, b.line)
			}
		default:
			t.Errorf("%s:%d: %q is none of sh, yaml, json, go, promql; text is what nobody can run", b.file, b.line, b.language)
		}
	}
	for _, h := range heldBlocks() {
		if !used[h] {
			t.Errorf("%s has no block that begins with %q", h.file, h.begins)
		}
		requireTest(t, h.test)
	}
	t.Logf("%d blocks", len(all))
}

// shownCommand is a line of a block that runs a known program.
func (b block) shownCommand() string {
	for line := range strings.Lines(b.text) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(strings.TrimPrefix(line, "$ "), " ")
		if _, known := programs()[word]; known && rest != "" && !strings.ContainsAny(line, "│─└") { // a picture
			return line
		}
	}
	return ""
}

// Each configuration of the gateway is valid.
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
	all, _ := blocks(t)
	t.Chdir(directory)
	n := 0
	for _, b := range all {
		if b.language != "yaml" || !b.configures(t) {
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

// configures tells whether a block is a part of the gateway's configuration, by its keys.
func (b block) configures(t *testing.T) bool {
	t.Helper()
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(b.text), &document), "%s:%d", b.file, b.line)
	return configures(&document)
}

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
