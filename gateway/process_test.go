package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait in tests with real processes.
const patience = time.Minute

// process is a gateway, or another program, in a process of its own.
type process struct {
	cmd   *exec.Cmd
	lines chan string // standard output and error
}

// startCommand starts a program whose output is read line by line. The test's end ends it.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	p := &process{cmd: cmd, lines: make(chan string, 10_000)}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(read); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // a gateway ends its plugins, which write to the test's directory
		timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		_ = read.Close()
	})
	return p
}

// startRun runs `lockkeeper run` in this test's own binary, with data of its own.
func startRun(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"run"}, args...)...)
	cmd.Env = append(os.Environ(), mainEnv+"=1", "LOCKKEEPER_DATA="+t.TempDir())
	return startCommand(t, cmd)
}

// expect waits for a line with all of the texts and returns it.
func (p *process) expect(t *testing.T, texts ...string) string {
	t.Helper()
	timeout := time.After(patience)
	var seen []string
	for {
		select {
		case line, open := <-p.lines:
			seen = append(seen, line)
			missing := func(text string) bool { return !strings.Contains(line, text) }
			if open && !slices.ContainsFunc(texts, missing) {
				return line
			}
			if !open {
				t.Fatalf("it ended without a line with %q:\n%s", texts, strings.Join(seen, "\n"))
			}
		case <-timeout:
			t.Fatalf("no line with %q:\n%s", texts, strings.Join(seen, "\n"))
		}
	}
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code and the lines not seen before.
func (p *process) exit(t *testing.T) (int, []string) {
	t.Helper()
	timer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	var rest []string
	for line := range p.lines {
		rest = append(rest, line)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode(), rest
}

// needs skips the test when a file that it needs is missing, unless LOCKKEEPER_REQUIRE names it: then it fails.
func needs(t *testing.T, name, file, cure string) string {
	t.Helper()
	absolute, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(absolute); err != nil {
		lacks(t, name, fmt.Sprintf("needs %s: %s", file, cure))
	}
	return absolute
}

// lacks skips the test for a reason, or fails it where LOCKKEEPER_REQUIRE names what is missing.
func lacks(t *testing.T, name, reason string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), name) {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func needsPlugins(t *testing.T) (directory string) {
	return filepath.Dir(needs(t, "plugins", "../bin/plugins/storage-victoriametrics", "make build"))
}

// linkStorages puts the storage plugins of the default configuration into a directory.
func linkStorages(t *testing.T, directory string) {
	t.Helper()
	for _, name := range []string{"storage-victoriametrics", "storage-victorialogs"} {
		if err := os.Symlink(filepath.Join(needsPlugins(t), name), filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// addresses are where a gateway of a test listens.
type addresses struct{ sink, grpc, http, console, self string }

func freeAddresses(t *testing.T) addresses {
	return addresses{sink: freeAddress(t), grpc: freeAddress(t), http: freeAddress(t), console: freeAddress(t), self: freeAddress(t)}
}

// config moves the default configuration to these addresses.
func (a addresses) config(t *testing.T, plugins string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(a.self)
	return writeFile(t, fmt.Sprintf(`
receivers:
  envoy: {endpoint: %q, flush_interval: 1s}
  otlp: {protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}
  prometheus/self: {config: {scrape_configs: [{job_name: lockkeeper, scrape_interval: 1s, static_configs: [{targets: [%q]}]}]}}
extensions:
  console: {endpoint: %q}
  plugins: {directory: %q}
service:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: %s, port: %s}}}}]}}
`, a.sink, a.grpc, a.http, a.self, a.console, plugins, host, port))
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "my.yaml")
	rewrite(t, file, text)
	return file
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func listening(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

type pluginState struct {
	Name  string
	PID   int
	State string
}

// pluginOf is the state of a plugin.
func pluginOf(t testing.TB, console, name string) (p pluginState) {
	t.Helper()
	var answer struct{ Plugins []pluginState }
	getJSON(t, "http://"+console+"/api/v1/plugins", &answer)
	i := slices.IndexFunc(answer.Plugins, func(p pluginState) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no plugin %s in %v", name, answer)
	}
	return answer.Plugins[i]
}
