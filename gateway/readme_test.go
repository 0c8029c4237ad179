package main

import (
	"os"
	"strings"
	"testing"
)

// What the README shows of configurations is valid.
func TestREADMEConfigurations(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(readme), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("%d configurations", len(blocks))
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if code, out, stderr := call(t, "validate", "--config", writeFile(t, text)); code != 0 {
			t.Errorf("%s%s\n%s", out, stderr, text)
		}
	}
}
