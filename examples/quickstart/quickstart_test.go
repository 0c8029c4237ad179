// Package quickstart runs the README's quickstart.
package quickstart

import (
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

func TestREADMEQuickstart(t *testing.T) {
	script := quickstart(t)
	for _, file := range []string{"../../bin/lockkeeper", "../../bin/plugins/storage-victoriametrics", "../../.cache/venv/bin/envoy"} {
		if _, err := os.Stat(file); err != nil {
			skip(t, "envoy", file+" is missing: make build envoy")
		}
	}
	for _, address := range []string{"localhost:9001", "localhost:7070", "localhost:8888", "localhost:4317", "localhost:4318", "127.0.0.1:8080", "127.0.0.1:10000"} {
		if listening(address) {
			skip(t, "envoy", "something listens on "+address+", which the quickstart uses")
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// At its end it ends what it has left running, and waits: the gateway still writes when it no longer listens.
	cmd := exec.Command("sh", "-euc", "trap 'trap \"\" TERM; kill 0; wait' EXIT\n"+script)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "LOCKKEEPER_DATA="+t.TempDir())
	cmd.Stdout, cmd.Stderr = file, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a group of its own, for kill 0
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	output, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"source":{"workload":"my-envoy","namespace":"unknown","app":"my-envoy","version":"v1"}`,
		`"destination":{"workload":"my-app-v1","namespace":"unknown","app":"my-app","version":"v1","service":"127.0.0.1"}`,
		`"metric":{"destination_app":"my-app","destination_version":"v1","response_code":"200","response_flags":"-","source_app":"my-envoy"}`,
		`"alertname":"MyAppFails"`,
		`my-app answers 5xx (UF)`,
	} {
		if !strings.Contains(string(output), want) {
			t.Errorf("its output lacks %s", want)
		}
	}
	if t.Failed() {
		t.Logf("output:\n%s", output)
	}
}

// quickstart are the shell blocks of the README's section, without the build that this test needs beforehand.
func quickstart(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Quickstart")
	_, block, found := strings.Cut(section, "```sh\nmake build envoy")
	if !found {
		t.Fatal("the README has no quickstart that begins with make build envoy")
	}
	_, block, _ = strings.Cut(block, "\n")
	block, rest, _ := strings.Cut(block, "```")
	_, alert, found := strings.Cut(rest, "```sh\n")
	if !found {
		t.Fatal("the README's quickstart has no second block, with an alert")
	}
	alert, _, _ = strings.Cut(alert, "```")
	return block + alert
}

func listening(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// skip skips the test, unless LOCKKEEPER_REQUIRE names what it needs.
func skip(t *testing.T, name, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), name) {
		t.Fatal(why)
	}
	t.Skip(why)
}
