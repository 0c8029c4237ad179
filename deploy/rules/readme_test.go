package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// blockOf is the block of the README that begins so, without what it is indented by.
func blockOf(t *testing.T, begins string) string {
	t.Helper()
	_, block, found := strings.Cut(read(t, "README.md"), "```yaml\n"+begins)
	require.True(t, found, begins)
	block, _, _ = strings.Cut(begins+block, "```")
	return strings.TrimRight(block, " ")
}

// What the README says goes into files of others is right there: Prometheus's own tool takes it. So do its commands.
func TestREADME(t *testing.T) {
	tool := promtool(t)
	directory := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = "../.."
		said, err := cmd.CombinedOutput()
		require.NoError(t, err, string(said))
		return string(said)
	}
	pack, err := filepath.Abs(".")
	require.NoError(t, err)
	line := strings.Replace(blockOf(t, "rule_files:"), "/etc/prometheus/rules/lockkeeper", pack, 1)
	require.Contains(t, line, pack)
	config := filepath.Join(directory, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte(line), 0o600))
	files, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	require.Contains(t, run("check", "config", config), " SUCCESS: "+strconv.Itoa(len(files))+" rule files found")

	counter := filepath.Join(directory, "counter.yaml")
	require.NoError(t, os.WriteFile(counter, []byte("groups:\n  - name: mine\n    rules:\n"+blockOf(t, "      - record:")), 0o600))
	require.Contains(t, run("check", "rules", counter), "SUCCESS: 1 rules found")

	for _, command := range regexp.MustCompile("`promtool (.*?)`").FindAllStringSubmatch(read(t, "README.md"), -1) {
		if strings.HasPrefix(command[1], "check") { // TestPromtoolTestsRules does the other
			run(expanded(t, strings.Fields(command[1]))...)
		}
	}
}

// expanded does what a shell does at the root of the repository.
func expanded(t *testing.T, args []string) (all []string) {
	t.Helper()
	for _, arg := range args {
		files, err := filepath.Glob(filepath.Join("../..", arg))
		require.NoError(t, err)
		if len(files) == 0 {
			files = []string{"../../" + arg}
		}
		for _, file := range files {
			all = append(all, strings.TrimPrefix(file, "../../"))
		}
	}
	return all
}
