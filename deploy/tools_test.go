package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type object = map[string]any

// needs is the absolute path of a file of the repository. Without it the test is skipped, unless LOCKKEEPER_REQUIRE has the word.
func needs(t *testing.T, word, file, cure string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", file))
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		lacks(t, word, fmt.Sprintf("needs %s: %s", file, cure))
	}
	return path
}

func lacks(t *testing.T, word, reason string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), word) {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func lockkeeper(t *testing.T) string {
	t.Helper()
	return needs(t, "build", "bin/lockkeeper", "make build")
}

// output is what a command writes to standard output. What it writes to standard error is part of the error.
func output(t *testing.T, command string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w\n%s%s", err, out.String(), errs.String())
	}
	return out.String(), nil
}

// documents are those of a YAML file that are not empty.
func documents(t *testing.T, text string) (all []object) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var document object
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if document != nil {
			all = append(all, document)
		}
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// blocks are the code blocks of a Markdown file in one language.
func blocks(t *testing.T, file, language string) (all []string) {
	t.Helper()
	for i, text := range strings.Split("\n"+readFile(t, file), "\n```") { // outside, inside, outside …
		if named, block, _ := strings.Cut(text, "\n"); i%2 == 1 && named == language {
			all = append(all, block+"\n")
		}
	}
	require.NotEmpty(t, all, file)
	return all
}

// dig follows keys and, in lists, numbers; nil where there is nothing.
func dig(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			fields, _ := value.(object)
			value = fields[step]
		case int:
			items, _ := value.([]any)
			if step >= len(items) {
				return nil
			}
			value = items[step]
		}
	}
	return value
}
