package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// examplesOf are the lines of all examples, each once.
func examplesOf(cmd *cobra.Command) (lines []string) {
	for line := range strings.Lines(cmd.Example) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " && ") // what follows are other programs
		lines = append(lines, line)
	}
	for _, sub := range cmd.Commands() {
		for _, line := range examplesOf(sub) {
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// exampleWorld is what the examples speak of, at the ports of the defaults, in a network of its own: gateways of Berlin and Tokyo, the machine web-17, the
// plugin acme, and files.
type exampleWorld struct {
	directory string
	env       []string
}

func newExampleWorld(t *testing.T) *exampleWorld {
	t.Helper()
	w := &exampleWorld{directory: filepath.Join(t.TempDir(), "here")}
	bin := filepath.Join(w.directory, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	link(t, os.Args[0], filepath.Join(bin, "lockkeeper"))
	link(t, os.Args[0], filepath.Join(w.directory, "notification-acme"))
	link(t, repository, filepath.Join(w.directory, "lockkeeper"))
	for name, text := range map[string]string{
		"my.yaml": "receivers: {probes: {modules: {entry: {prober: http}}}}", "test.yaml": "{}", "acme.yaml": "{}", "token": operatorToken,
		"my-scenario.yaml": exampleScenario(t),
	} {
		rewrite(t, filepath.Join(w.directory, name), text)
	}
	// names of the examples lead here
	gateways := map[string]string{"gateway.test:7070": "localhost:7070", "berlin.test:7070": "localhost:7070", "tokyo.test:7070": "localhost:7071"}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: gateways[r.In.Host]})
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}})
	t.Cleanup(proxy.Close)
	w.env = append(os.Environ(), mainEnv+"=1", "HOME="+w.directory, "PATH="+bin+":"+os.Getenv("PATH"), "HTTP_PROXY="+proxy.URL, "LOCKKEEPER_TOKEN="+operatorToken,
		"LOCKKEEPER_DATA="+t.TempDir(), "LOCKKEEPER_URL=")
	modules, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(modules))
	w.env = append(w.env, "GOMODCACHE="+caches[0], "GOCACHE="+caches[1], "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=-mod=mod")
	return w
}

func exampleScenario(t *testing.T) string {
	t.Helper()
	_, list, _ := call(t, "drill")
	text, err := readScenario(strings.Fields(list)[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gateways starts both.
func (w *exampleWorld) gateways(t *testing.T) {
	t.Helper()
	g := newFailoverGateway(t)
	plugins := t.TempDir()
	link(t, os.Args[0], filepath.Join(plugins, chatPlugin))
	for i, name := range []string{"berlin", "tokyo"} {
		port := 7070 + i
		own := &failoverGateway{console: fmt.Sprintf("localhost:%d", port), dns: freeAddress(t), data: t.TempDir(), idcs: g.idcs, machines: g.machines}
		own.file = writeFile(t, own.config())
		own.start(t, "--config", writeFile(t, fmt.Sprintf(`
receivers:
  envoy: {endpoint: "localhost:%d"}
  probes: {targets: [
    {module: entry, target: "http://api.example.com/healthz", address: %q, subject: idc/idc1/entry, interval: 250ms},
    {module: entry, target: "http://api.example.com/healthz", address: %q, subject: idc/idc2/entry, interval: 250ms},
    {module: port, target: %q, subject: machine/web-17, idc: idc1, interval: 250ms}]}
extensions:
  plugins: {directory: %q, processes: {acme: {kind: notification, use: %s, config: {file: %q}}}}
  failover: {sites: {berlin: idc1, tokyo: idc2}}
  cluster: {name: %s, site: %s, endpoint: "localhost:%d", join: ["localhost:7946", "localhost:7947"]}
service:
  extensions: [plugins, alerting, failover, dns, console, cluster]
  pipelines: {metrics: {receivers: [envoy, probes]}}
`, 9001+i, g.idcs[0].address, g.idcs[1].address, g.machines[0].address, plugins, chatPlugin, filepath.Join(t.TempDir(), "told"), name, name, 7946+i)))
	}
	wait(t, "both to know the machine, and of each other", func() bool {
		said, code := w.run(t, "lockkeeper failover list --all machine/web-17 --url http://berlin.test:7070 --url http://tokyo.test:7070", false)
		return code == 0 && strings.Contains(said, "machine/web-17  healthy")
	})
}

// run runs a line as a shell does. One that goes on is interrupted.
func (w *exampleWorld) run(t *testing.T, line string, goesOn bool) (said string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = w.directory, w.env, &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	interrupt := time.AfterFunc(patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) })
	if goesOn {
		interrupt.Reset(1500 * time.Millisecond) // if it has not come so far, it is interrupted earlier, which must do no harm, either
	}
	_ = cmd.Wait()
	interrupt.Stop()
	return out.String(), cmd.ProcessState.ExitCode()
}

// Every example of every command's --help does what it says, run as it stands there.
func TestExamples(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	w := newExampleWorld(t)
	w.gateways(t)
	// what does not end well here: there is no such host, no Envoy (nor any more, once what was recorded was replayed), no plugin of VictoriaMetrics
	fails := []string{"lockkeeper status", "lockkeeper probe run ", "lockkeeper doctor", "lockkeeper plugin verify", "lockkeeper plugin test ", "lockkeeper replay als.binpb --address gateway.test"}
	// what is there before
	before := map[string]string{"lockkeeper failover release": "failover hold machine/web-17 --for 1h", "lockkeeper shift abort": "shift apply --to idc2=60 --for 1h"}
	do := func(command string) {
		_, _, _ = call(t, append(strings.Fields(command), "--url", "http://localhost:7070", "--token", operatorToken)...)
	}
	starting := func(line string, with []string) bool {
		return slices.ContainsFunc(with, func(p string) bool { return strings.HasPrefix(line, p) })
	}
	n := 0
	for _, line := range examplesOf(newRootCommand()) {
		if strings.HasPrefix(line, "lockkeeper run") { // TestRun runs them: here the ports are taken
			continue
		}
		goesOn := strings.HasSuffix(line, " -f") || strings.HasSuffix(line, " --watch") || starting(line, []string{"lockkeeper tail", "lockkeeper record"})
		for prefix, first := range before {
			if strings.HasPrefix(line, prefix) {
				do(first)
			}
		}
		if strings.HasPrefix(line, "lockkeeper replay als.binpb") { // what was recorded before is nothing: no Envoy sent anything
			recording, err := os.ReadFile("mesh/testdata/corpus/http_stream_delta.binpb")
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, filepath.Join(w.directory, "als.binpb"), string(recording))
		}
		want := 0
		switch {
		case starting(line, fails):
			want = 1
		case strings.HasPrefix(line, "lockkeeper plugin new") && !strings.Contains(line, "--sdk"):
			want = 2 // this is no release, so there is no SDK of its version
		}
		if said, code := w.run(t, line, goesOn); code != want {
			t.Errorf("%s\nends with %d, want %d:\n%s", line, code, want, said)
		}
		n++
		if strings.HasPrefix(line, "lockkeeper failover ") || strings.HasPrefix(line, "lockkeeper shift ") {
			for _, undo := range []string{"shift abort", "shift abort", "failover release --all"} {
				do(undo)
			}
		}
	}
	t.Logf("%d examples", n)
}
