package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func systemdAnalyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		lacks(t, "systemd", "needs systemd-analyze: apt-get install systemd")
	}
	return output(t, tool, args...)
}

// unit writes the unit as it would be installed, with drop-ins, and with programs that there are.
func unit(t *testing.T, dropIns ...string) string {
	t.Helper()
	text := strings.NewReplacer("/usr/lib/lockkeeper/lockkeeper ", "/bin/true ", "/bin/kill ", "/bin/true ").Replace(readFile(t, "systemd/lockkeeper.service"))
	file := writeFile(t, "lockkeeper.service", text)
	require.NoError(t, os.Mkdir(file+".d", 0o755))
	for _, name := range dropIns {
		require.NoError(t, os.WriteFile(filepath.Join(file+".d", name), []byte(readFile(t, "systemd/lockkeeper.service.d/"+name)), 0o644))
	}
	return file
}

func TestUnit(t *testing.T) {
	f := func(dropIns ...string) {
		t.Helper()
		file := unit(t, dropIns...)
		said, err := systemdAnalyze(t, "verify", "--man=no", file)
		require.NoError(t, err)
		require.Empty(t, said)
		// The scale goes from 0 to 10; an unlimited service has 9.6.
		said, err = systemdAnalyze(t, "security", "--offline=yes", "--threshold=20", file)
		require.NoError(t, err, said)
		require.Regexp(t, `Overall exposure level for lockkeeper.service: [01]\.\d OK`, said)
	}
	f()
	f("dns.conf")
	f("dns.conf", "ping.conf")
}

func TestUnitMistakesAreFound(t *testing.T) {
	file := unit(t)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(readFile(t, file), "Restart=always", "Restart=allways", 1)), 0o644))
	cmd := exec.Command("systemd-analyze", "verify", "--man=no", file)
	_, err := systemdAnalyze(t, "--version")
	require.NoError(t, err)
	said, _ := cmd.CombinedOutput()
	require.Contains(t, string(said), "allways")
}

// What the README says puts everything where the unit looks for it.
func TestSystemdREADME(t *testing.T) {
	repository, root := t.TempDir(), t.TempDir()
	deploy, err := filepath.Abs(".")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(deploy, filepath.Join(repository, "deploy")))
	require.NoError(t, os.MkdirAll(filepath.Join(repository, "bin/plugins"), 0o755))
	for _, name := range []string{"bin/lockkeeper", "bin/plugins/alerting-rules"} {
		require.NoError(t, os.WriteFile(filepath.Join(repository, name), nil, 0o755))
	}
	var script strings.Builder
	for line := range strings.Lines(blocks(t, "systemd/README.md", "")[0]) {
		if strings.HasPrefix(line, "install ") || strings.HasPrefix(line, "ln ") {
			script.WriteString(regexp.MustCompile(` /(usr|etc)/`).ReplaceAllString(line, " "+root+"/$1/"))
		}
	}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755))
	cmd := exec.Command("sh", "-ceu", script.String())
	cmd.Dir = repository
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
	start := regexp.MustCompile(`(?m)^ExecStart=(\S+) run --config (\S+)$`).FindStringSubmatch(readFile(t, root+"/etc/systemd/system/lockkeeper.service"))
	for _, path := range append(start[1:], "/usr/bin/lockkeeper", "/usr/lib/lockkeeper/plugins/alerting-rules", "/usr/share/lockkeeper/rules/flags.yaml", "/etc/sysctl.d/60-lockkeeper.conf") {
		require.FileExists(t, root+path)
	}
	said, err := output(t, lockkeeper(t), "validate", "--config", root+"/etc/lockkeeper/lockkeeper.yaml")
	require.NoError(t, err, said)
}
