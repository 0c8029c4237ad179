package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// small is a configuration without plugins, which listens at one address.
func small(address string) string {
	return fmt.Sprintf(`
receivers: {otlp: {protocols: {http: {endpoint: %q}}}}
exporters: {debug: {}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {metrics: {receivers: [otlp], exporters: [debug]}}
`, address)
}

func TestRunWithTheDefault(t *testing.T) {
	a := freeAddresses(t)
	config := a.config(t, needsPlugins(t))
	began := time.Now()
	p := startRun(t, "--config", config)
	p.expect(t, "Lockkeeper is ready.")
	t.Logf("ready after %s", time.Since(began)) // expect has bounded it; 3 s are asked for
	p.expect(t, "Envoy sink", a.sink, "lockkeeper snippet envoy --address "+a.sink)
	p.expect(t, "OTLP", a.grpc+" (gRPC), "+a.http+" (HTTP)")
	p.expect(t, "Console", "http://"+a.console+"/")
	p.expect(t, "vmui", "http://"+a.console+"/vmui/")
	p.expect(t, "PromQL", "http://"+a.console+"/prometheus/")
	p.expect(t, "Logs", "http://"+a.console+"/logs/")
	p.expect(t, "Data", "/queue, ", "/victorialogs, ", "/victoriametrics")
	for _, path := range []string{"/-/ready", "/-/healthy", "/vmui/", "/prometheus/api/v1/query?query=1", "/logs/select/vmui/", "/logs/select/logsql/query?query=x", "/api/v1/plugins", "/api/v1/edges"} {
		r, err := http.Get("http://" + a.console + path)
		if err != nil {
			t.Fatal(err)
		}
		if _ = r.Body.Close(); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, r.Status)
		}
	}

	// The same again: the queue, the storage and every port are free again when they are asked for.
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reloaded")
	// It watches itself.
	wait(t, "its own metrics in the storage", func() bool {
		var answer struct{ Data struct{ Result []any } }
		getJSON(t, "http://"+a.console+`/prometheus/api/v1/query?query=otelcol_process_uptime{job="lockkeeper"}`, &answer)
		return len(answer.Data.Result) == 1
	})

	p.signal(t, syscall.SIGTERM)
	if code, rest := p.exit(t); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, strings.Join(rest, "\n"))
	}
}

func TestReload(t *testing.T) {
	first, second, third := freeAddress(t), freeAddress(t), freeAddress(t)
	file := writeFile(t, small(first))
	p := startRun(t, "--no-default", "--config", file)
	p.expect(t, "OTLP", first)
	serves := func(address string) {
		t.Helper()
		for _, other := range []string{first, second, third} {
			if listening(other) != (other == address) {
				t.Errorf("serves at %s: %v", other, other != address)
			}
		}
	}
	serves(first)

	// A change.
	rewrite(t, file, small(second))
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reloaded")
	p.expect(t, "OTLP", second)
	serves(second)

	// Not valid.
	rewrite(t, file, strings.Replace(small(third), "endpoint:", "endpint:", 1))
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reload: not valid, so nothing has changed")
	p.expect(t, file+": receivers::otlp::protocols::http::endpint: unknown key")
	serves(second)

	// Not even YAML.
	rewrite(t, file, "{")
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reload: not valid, so nothing has changed")
	p.expect(t, file+": not valid YAML")
	serves(second)

	// Valid, but it cannot start: what ran before is in no file any more.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	rewrite(t, file, small(taken.Addr().String()))
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reload: it could not start, so the last good configuration runs again")
	p.expect(t, "address already in use", "receivers::otlp::protocols::http::endpoint")
	serves(second)

	// A plugin that is not there.
	rewrite(t, file, small(third)+"  extensions: [plugins]\n"+`extensions: {plugins: {directory: /nowhere, processes: {x: {kind: storage}}}}`)
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reload: it could not start, so the last good configuration runs again")
	p.expect(t, "/nowhere/storage-x")
	serves(second)

	// And it can still change.
	rewrite(t, file, small(third))
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "OTLP", third)
	serves(third)

	p.signal(t, syscall.SIGINT)
	if code, rest := p.exit(t); code != 0 {
		t.Errorf("SIGINT: exit %d\n%s", code, strings.Join(rest, "\n"))
	}
}

// What cannot start ends with one sentence.
func TestRunThatCannotStart(t *testing.T) {
	plugins := needsPlugins(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := func(p *process, want ...string) {
		t.Helper()
		code, lines := p.exit(t)
		var sentences []string
		for _, line := range lines {
			if !strings.Contains(line, "\tinfo\t") && !strings.Contains(line, "\twarn\t") {
				sentences = append(sentences, line)
			}
		}
		text := strings.Join(sentences, "\n")
		if code != 1 || len(sentences) != 1 {
			t.Errorf("exit %d, want one sentence:\n%s", code, text)
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in\n%s", part, text)
			}
		}
	}
	run := func(more string) *process {
		return startRun(t, "--config", freeAddresses(t).config(t, plugins), "--config", more)
	}

	// A taken port of each component that has one.
	port := taken.Addr().(*net.TCPAddr).Port
	f(run(fmt.Sprintf("yaml:receivers::envoy::endpoint: 127.0.0.1:%d", port)), "already in use", "set another", "receivers::envoy::endpoint")
	f(run(fmt.Sprintf("yaml:receivers::otlp::protocols::grpc::endpoint: 127.0.0.1:%d", port)), "already in use", "set another receivers::otlp::protocols::grpc::endpoint")
	f(run(fmt.Sprintf("yaml:extensions::console::endpoint: 127.0.0.1:%d", port)), "already in use", "set another", "console::endpoint")
	f(run(fmt.Sprintf("yaml:service::telemetry::metrics::readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]", port)),
		"already in use", "set another service::telemetry::metrics::readers")
	// No plugin binary.
	f(run("yaml:extensions::plugins::directory: /nowhere"), "/nowhere/storage-victoria", "plugins.directory")
	// Not the plugin binary that was pinned.
	f(run("yaml:extensions::plugins::processes::victoriametrics::sha256: "+strings.Repeat("a", 64)), "sha256", "storage-victoriametrics", "pin")
	// A plugin's own key.
	f(run("yaml:extensions::plugins::processes::victoriametrics::config::retentn: 1"), `"victoriametrics"`, `"retentn"`)
	// A data directory that cannot be one.
	f(run("yaml:extensions::file_storage::directory: /dev/null/queue"), "/dev/null/queue")
}

func TestRunWithoutTheRightToItsData(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to run as somebody else")
	}
	public, err := os.MkdirTemp("", "lockkeeper-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(public) })
	data, binary, config := filepath.Join(public, "data"), filepath.Join(public, "lockkeeper"), filepath.Join(public, "my.yaml")
	if err := os.Link(os.Args[0], binary); err != nil {
		t.Skipf("needs a place where another user can run the test's binary: %v", err)
	}
	rewrite(t, config, small(freeAddress(t))+`  extensions: [file_storage]
extensions: {file_storage: {directory: "${env:LOCKKEEPER_DATA}/queue", create_directory: true}}`)
	for _, file := range []string{public, config} {
		if err := os.Chmod(file, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "run", "--no-default", "--config", config)
	cmd.Env = append(os.Environ(), mainEnv+"=1", "LOCKKEEPER_DATA="+data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	startCommand(t, cmd).expect(t, "error: ", "permission denied", "give this user the right to write "+data, "LOCKKEEPER_DATA")
}
