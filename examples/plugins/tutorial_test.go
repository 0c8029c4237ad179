package plugins

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The README is run as it stands there: all its shell blocks, in one shell, with a network of their own for the gateway's ports.
func TestREADME(t *testing.T) {
	for _, file := range []string{"../../bin/lockkeeper", "../../bin/plugins/storage-victoriametrics"} {
		if _, err := os.Stat(file); err != nil {
			skip(t, "plugins", file+" is missing: make build")
		}
	}
	if out, err := exec.Command("unshare", "--net", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		skip(t, "network", "needs unshare and ip, and to be root: "+string(out))
	}
	python := python(t)
	home := t.TempDir()
	source := checkout(t)
	file, err := os.Create(filepath.Join(home, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-euc", "ip link set lo up\n"+tutorial(t, python))
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "HOME="+home)
	for _, name := range []string{"GOPATH", "GOCACHE", "GOMODCACHE"} { // go looks for these at home
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that what it leaves running can be ended
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err = cmd.Run()
	output, readErr := os.ReadFile(file.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	for _, want := range []string{
		`(?m)^ok\s+\S+/notification-acme\s`,
		`(?m)^\d+ ok, 0 failed, 0 skipped`,
		`(?m)^acme sent the test notification in `,
		`(?m)^Bearer s3cret \{"message":"\[FIRING\] .*","urgent":false\}$`,
		`(?m)^acme-python sent the test notification in `,
		`(?m)^None FIRING `,
		`(?m)^acme-remote sent the test notification in `,
		`(?m)^\d+ ok, 0 failed, [1-9]`, // what only a process can be asked is skipped
	} {
		if !regexp.MustCompile(want).Match(output) {
			t.Errorf("its output lacks %s", want)
		}
	}
	if err != nil || t.Failed() {
		t.Fatalf("%v; output:\n%s", err, output)
	}
}

// tutorial is the README's shell blocks, without the build that this test needs beforehand, and with a Python that is there.
func tutorial(t *testing.T, python string) string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		script.WriteString(block[1])
	}
	text := script.String()
	for line, instead := range map[string]string{
		"make build ": "# ",
		"python3 -m venv venv\nvenv/bin/pip install --quiet -r python/requirements.txt": "ln -s " + filepath.Dir(filepath.Dir(python)) + " venv",
	} {
		if strings.Count(text, "\n"+line)+strings.Count(text[:len(line)], line) != 1 {
			t.Fatalf("the README's blocks do not have one line %q", line)
		}
		text = strings.Replace(text, line, instead, 1)
	}
	return text
}

// checkout is what the tutorial needs of Lockkeeper's source, with copies of what it writes to.
func checkout(t *testing.T) string {
	t.Helper()
	source := t.TempDir()
	if err := os.MkdirAll(filepath.Join(source, "bin/plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bin/lockkeeper", "bin/plugins/storage-victoriametrics", "bin/plugins/storage-victorialogs"} {
		copyFile(t, filepath.Join("../..", name), filepath.Join(source, name))
	}
	for _, name := range []string{"sdk", "examples"} {
		target, err := filepath.Abs(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(source, name)); err != nil {
			t.Fatal(err)
		}
	}
	return source
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}
