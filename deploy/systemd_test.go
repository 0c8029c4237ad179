package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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

// systemCalls are those of a group of systemd's.
func systemCalls(t *testing.T, group string) (all []string) {
	t.Helper()
	said, err := systemdAnalyze(t, "syscall-filter", "--no-pager", group)
	require.NoError(t, err)
	for _, name := range regexp.MustCompile(`(?m)^    (\S+)$`).FindAllStringSubmatch(said, -1) {
		if strings.HasPrefix(name[1], "@") {
			all = append(all, systemCalls(t, name[1])...)
		} else {
			all = append(all, name[1])
		}
	}
	return all
}

// allowedCalls are the system calls that the unit lets through.
func allowedCalls(t *testing.T) []string {
	t.Helper()
	all := systemCalls(t, "@default") // always
	for _, line := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllStringSubmatch(readFile(t, "systemd/lockkeeper.service"), -1) {
		for _, name := range strings.Fields(line[2]) {
			names := []string{name}
			if strings.HasPrefix(name, "@") {
				names = systemCalls(t, name)
			}
			if line[1] == "" {
				all = append(all, names...)
			} else {
				all = slices.DeleteFunc(all, func(call string) bool { return slices.Contains(names, call) })
			}
		}
	}
	return all
}

const somethingToStore = `
  probes:
    flush_interval: 1s
    modules: {ping: {prober: icmp}, stored: {prober: http, http: {fail_if_body_not_matches_regexp: ['"value"']}}}
    targets: [{module: ping, target: 127.0.0.1}]
`

// Twice, in a network of its own: the second time the storage opens what it has stored. Arguments: the gateway, its configuration, what not to write down, and where to.
const traceCalls = `
ip link set lo up
echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range
for run in 1 2; do
	strace --daemonize --follow-forks --seccomp-bpf --quiet=all --trace="$3" --output="$4" --output-append-mode "$1" run --config "$2" & gateway=$!
	until "$1" probe run --config "$2" stored 'http://localhost:7070/prometheus/api/v1/query?query=probe_success'; do kill -0 $gateway; sleep 0.3; done
	kill -TERM $gateway
	wait $gateway
done
`

// What the gateway and its plugins ask of the kernel is not refused by the unit: systemd's groups lack calls that some program needs.
func TestUnitSystemCalls(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		lacks(t, "systemd", "needs strace: apt-get install strace")
	}
	if os.Geteuid() != 0 {
		lacks(t, "network", "needs root: a network of its own")
	}
	needs(t, "plugins", "bin/plugins/storage-victoriametrics", "make build")
	rules, err := filepath.Abs("rules")
	require.NoError(t, err)
	text := strings.Replace(readFile(t, "systemd/lockkeeper.yaml"), "/usr/share/lockkeeper/rules", rules, 1)
	text = strings.Replace(text, "receivers:\n", "receivers:\n"+somethingToStore, 1)
	calls := writeFile(t, "calls", "")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ceu", traceCalls, "sh",
		lockkeeper(t), writeFile(t, "lockkeeper.yaml", text), "!?"+strings.Join(allowedCalls(t), ",?"), calls)
	cmd.Env = append(os.Environ(), "LOCKKEEPER_DATA="+t.TempDir())
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	for line := range strings.Lines(readFile(t, calls)) {
		require.NotRegexp(t, `^\d+ +\w+\(`, line, "add it to SystemCallFilter in the unit")
	}
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
