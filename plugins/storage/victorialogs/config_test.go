package main

import (
	"os"
	"strings"
	"testing"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
)

func TestReadmeShowsTheDefaults(t *testing.T) { storagetest.Readme(t, "victorialogs", defaults()) }

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
