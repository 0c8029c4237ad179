package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// checkout is a directory with deploy in it, and with files of these names.
func checkout(t *testing.T, files map[string]string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	deploy, err := filepath.Abs(".")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(deploy, filepath.Join(directory, "deploy")))
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(directory, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(text), 0o755))
	}
	return directory
}

// runIn runs a script in a directory, with another root before the system's directories.
func runIn(t *testing.T, directory, root, script string) {
	t.Helper()
	if root != "" {
		script = regexp.MustCompile(` /(usr|etc|var)/`).ReplaceAllString(script, " "+root+"/$1/")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-ceu", script)
	cmd.Dir = directory
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
}

// What the README says puts everything where the unit looks for it.
func TestSystemdREADME(t *testing.T) {
	repository, root := checkout(t, map[string]string{"bin/lockkeeper": "", "bin/plugins/alerting-rules": ""}), t.TempDir()
	var script strings.Builder
	for line := range strings.Lines(blocks(t, "systemd/README.md", "sh")[0]) {
		if strings.HasPrefix(line, "install ") || strings.HasPrefix(line, "ln ") {
			script.WriteString(line)
		}
	}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755))
	runIn(t, repository, root, script.String())
	start := regexp.MustCompile(`(?m)^ExecStart=(\S+) run --config (\S+)$`).FindStringSubmatch(readFile(t, root+"/etc/systemd/system/lockkeeper.service"))
	for _, path := range append(start[1:], "/usr/bin/lockkeeper", "/usr/lib/lockkeeper/plugins/alerting-rules", "/usr/share/lockkeeper/rules/flags.yaml", "/etc/sysctl.d/60-lockkeeper.conf") {
		require.FileExists(t, root+path)
	}
	said, err := output(t, lockkeeper(t), "validate", "--config", root+"/etc/lockkeeper/lockkeeper.yaml")
	require.NoError(t, err, said)
}

// What the README says puts the boards where their provider looks for them.
func TestGrafanaREADME(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(root+"/etc/grafana/provisioning/dashboards", 0o755)) // as Grafana's package has it
	runIn(t, checkout(t, nil), root, blocks(t, "grafana/README.md", "sh")[0])
	var provider struct {
		Providers []struct{ Options struct{ Path string } }
	}
	require.NoError(t, yaml.Unmarshal([]byte(readFile(t, root+"/etc/grafana/provisioning/dashboards/lockkeeper.yaml")), &provider))
	boards, err := filepath.Glob(root + provider.Providers[0].Options.Path + "/*.json")
	require.NoError(t, err)
	sources, err := filepath.Glob("grafana/*.json")
	require.NoError(t, err)
	require.Len(t, boards, len(sources))
	require.NotEmpty(t, boards)
	require.FileExists(t, root+"/etc/grafana/provisioning/datasources/lockkeeper.yaml")
}

// The real Helm takes the commands of the README, as far as it goes without a cluster.
func TestHelmREADME(t *testing.T) {
	tool := needs(t, "helm", ".cache/tools/helm", "make helm")
	for _, values := range blocks(t, "helm/README.md", "yaml") {
		directory := checkout(t, map[string]string{"my-values.yaml": values})
		for line := range strings.Lines(blocks(t, "helm/README.md", "sh")[0]) {
			require.True(t, strings.HasPrefix(line, "helm "), line)
			if arguments, found := strings.CutPrefix(line, "helm install "); found { // template takes the same
				line = "helm template --kube-version 1.36.3 " + arguments
			}
			runIn(t, directory, "", tool+strings.TrimPrefix(line, "helm"))
		}
	}
}
