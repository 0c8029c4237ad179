package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// The README's example is valid and shows the defaults.
func TestReadmeShowsTheDefaults(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	var example struct {
		Extensions struct {
			Plugins struct {
				Processes map[string]struct{ Config map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &example); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(example.Extensions.Plugins.Processes["victorialogs"].Config)
	if err != nil {
		t.Fatal(err)
	}
	got, err := victoria.Decode(sdk.NewConfig("victorialogs", "", raw), victoria.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	if want.DataDirectory, err = filepath.Abs("lockkeeper-data/victorialogs"); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// readmeQueries are the README's, by what they look for.
func readmeQueries(t *testing.T) map[string]string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "| looked for | LogsQL |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	queries := map[string]string{}
	for line := range strings.Lines(table) {
		what, query, _ := strings.Cut(strings.Trim(line, "| \n"), " | ")
		queries[what] = strings.ReplaceAll(strings.Trim(query, "`"), `\|`, "|")
	}
	return queries
}
