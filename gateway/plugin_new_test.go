package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A stranger's path: from nothing to a notification that arrives, by the commands of the plugin's own README.
func TestPluginNewNotification(t *testing.T) {
	arrived := make(chan string, 100)
	channel := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- string(body)
	}))
	defer channel.Close()
	directory := newPluginIn(t, "notification")
	buildAndTest(t, directory)

	const token = "0123456789abcdef0123"
	t.Setenv("ACME_URL", channel.URL)
	t.Setenv("LOCKKEEPER_TOKEN", token)
	plugins, console := t.TempDir(), freeAddress(t)
	if err := os.Rename(filepath.Join(directory, "notification-acme"), filepath.Join(plugins, "notification-acme")); err != nil {
		t.Fatal(err)
	}
	base := writeFile(t, small(freeAddress(t))+fmt.Sprintf("  extensions: [plugins, console]\nextensions: {plugins: {directory: %q}, console: {endpoint: %q}}\n", plugins, console))
	config := []string{"--no-default", "--config", base, "--config", writeFile(t, readmeBlocks(t, directory, "```yaml\n")[0])}
	expectCall(t, 0, append([]string{"plugin", "verify"}, config...), "ok    acme: "+plugins+"/notification-acme, not pinned")
	gateway := startRun(t, config...)
	gateway.expect(t, "Lockkeeper is ready.")

	url := []string{"--url", "http://" + console}
	wait(t, "the plugin, for which a gateway does not wait long", func() bool {
		code, _, _ := call(t, append([]string{"plugin", "list"}, url...)...)
		return code == 0
	})
	expectCall(t, 0, append([]string{"plugin", "list"}, url...), "acme  notification  running")
	expectCall(t, 0, append([]string{"plugin", "send-test", "acme"}, url...), "acme sent the test notification in ")
	if text := <-arrived; !strings.Contains(text, "[FIRING] LockkeeperTest") || !strings.Contains(text, "sent by me") {
		t.Errorf("%s arrived", text)
	}
	expectCall(t, 0, append([]string{"plugin", "logs", "acme"}, url...))
	// Somebody who has no token, and somebody who looks for another plugin.
	expectCall(t, 1, append([]string{"plugin", "send-test", "acme", "--token", "stolen"}, url...), "none of extensions::console::tokens")
	expectCall(t, 1, append([]string{"plugin", "send-test", "acne"}, url...), "acne")
	// The channel's refusal is told, too.
	channel.Config.Handler = http.NotFoundHandler()
	expectCall(t, 1, append([]string{"plugin", "send-test", "acme"}, url...), "the channel answered 404 Not Found")
	gateway.signal(t, syscall.SIGTERM)
	if code, rest := gateway.exit(t); code != 0 {
		t.Errorf("exit %d\n%s", code, strings.Join(rest, "\n"))
	}
}

func TestPluginNewStorage(t *testing.T)  { buildAndTest(t, newPluginIn(t, "storage")) }
func TestPluginNewAlerting(t *testing.T) { buildAndTest(t, newPluginIn(t, "alerting")) }

// newPluginIn writes a plugin to a directory outside of this repository, with the SDK of this one.
func newPluginIn(t *testing.T, kind string) (directory string) {
	t.Helper()
	directory = filepath.Join(t.TempDir(), "my plugin") // a space, as people have them
	expectCall(t, 0, []string{"plugin", "new", kind, "acme", "--dir", directory, "--sdk", "../sdk"}, "cd '"+directory+"'\n", "go build -o "+kind+"-acme .\n")
	return directory
}

// buildAndTest does what the README says first: go mod tidy, go test, go build, lockkeeper plugin test.
func buildAndTest(t *testing.T, directory string) {
	t.Helper()
	tools := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(tools, "lockkeeper")); err != nil {
		t.Fatal(err)
	}
	blocks := readmeBlocks(t, directory, "```sh\n")
	for _, command := range []string{"go mod tidy", "go test ./...", "go build", "lockkeeper plugin test", "lockkeeper plugin verify", "lockkeeper plugin logs acme"} {
		if !strings.Contains(strings.Join(blocks, ""), command) {
			t.Errorf("the README does not say %s", command)
		}
	}
	for _, text := range blocks {
		commands, err := shellCommands(block{text: text})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commands {
			if c.own() {
				if err := parseCommand(c.words[1:], false); err != nil {
					t.Errorf("%q: %v", c.words, err)
				}
			}
		}
	}
	sh := exec.CommandContext(t.Context(), "sh", "-exc", blocks[0])
	sh.Dir = directory
	sh.Env = append(os.Environ(), mainEnv+"=1", "PATH="+tools+":"+os.Getenv("PATH"))
	said, err := sh.CombinedOutput()
	if err != nil || !strings.Contains(string(said), ", 0 failed, 0 skipped") {
		t.Fatalf("%v\n%s", err, said)
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "./...")
	vet.Dir = directory
	if said, err := vet.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, said)
	}
	if left := strings.Fields(readFile(t, filepath.Join(directory, ".gitignore"))); left[0] != "/"+built(t, directory) {
		t.Errorf(".gitignore has %q", left)
	}
}

// built is the program that was built.
func built(t *testing.T, directory string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(directory, "*-acme"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %q", err, found)
	}
	return filepath.Base(found[0])
}

// readmeBlocks are what a README has between this fence and the next.
func readmeBlocks(t *testing.T, directory, fence string) (blocks []string) {
	t.Helper()
	text := readFile(t, filepath.Join(directory, "README.md"))
	for {
		_, rest, found := strings.Cut(text, "```")
		if !found {
			return blocks
		}
		language, rest, _ := strings.Cut(rest, "\n")
		block, after, _ := strings.Cut(rest, "```")
		if "```"+language+"\n" == fence {
			blocks = append(blocks, block)
		}
		text = after
	}
}

// The configuration of each README is valid beside the default.
func TestPluginNewConfiguration(t *testing.T) {
	t.Setenv("PATH", "") // without go: the files are all that counts
	t.Setenv("ACME_URL", "http://127.0.0.1/x")
	t.Setenv("LOCKKEEPER_TOKEN", "0123456789abcdef0123")
	for _, kind := range []string{"notification", "storage", "alerting"} {
		directory := t.TempDir()
		expectCall(t, 0, []string{"plugin", "new", kind, "acme", "--dir", directory, "--sdk", "../sdk"}, "  go mod tidy\n")
		expectCall(t, 0, []string{"validate", "--config", writeFile(t, readmeBlocks(t, directory, "```yaml\n")[0])}, "ok\n")
	}
}

func TestPluginNewIsFormatted(t *testing.T) {
	gofumpt := needs(t, "tools", "../.cache/tools/gofumpt", "make lint")
	t.Setenv("PATH", "")
	for _, kind := range []string{"notification", "storage", "alerting"} {
		directory := t.TempDir()
		expectCall(t, 0, []string{"plugin", "new", kind, "acme", "--dir", directory, "--sdk", "../sdk"})
		if said, err := exec.Command(gofumpt, "-d", directory).CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("%s: %v\n%s", kind, err, said)
		}
	}
}

func TestPluginNewMistakes(t *testing.T) {
	there := t.TempDir()
	rewrite(t, filepath.Join(there, "mine"), "")
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		expectCall(t, wantCode, append([]string{"plugin", "new"}, args...), want)
	}
	f(2, "say what to write", "notification")
	f(2, `"notify" is no kind of plugin: notification, storage or alerting`, "notify", "acme")
	f(2, `"Acme" is no name`, "storage", "Acme")
	f(2, `"../acme" is no name`, "storage", "../acme")
	f(2, "there is no SDK of its version to fetch: give --sdk PATH", "storage", "acme")
	f(2, "is not the SDK", "storage", "acme", "--sdk", there)
	f(2, "is not the SDK", "storage", "acme", "--sdk", "..")
	f(2, "is no module path", "storage", "acme", "--sdk", "../sdk", "--module", "a b")
	f(2, "is there and not empty: give another --dir", "storage", "acme", "--sdk", "../sdk", "--dir", there)
	// A module that cannot be made tidy.
	t.Setenv("GOFLAGS", "-nonsense")
	f(1, "is written, but there `go mod tidy` failed", "storage", "acme", "--sdk", "../sdk", "--dir", t.TempDir())
	f(1, "not a directory", "storage", "acme", "--sdk", "../sdk", "--dir", filepath.Join(there, "mine"))
}

// A release fetches the SDK of its own version; everything else has none.
func TestPluginNewOfARelease(t *testing.T) {
	f := func(version string, release bool) {
		t.Helper()
		p := newPlugin{Kind: "storage", Name: "acme"}
		if err := p.complete(version); (err == nil) != release {
			t.Errorf("%s: %v", version, err)
		}
		mod, err := p.fill("scaffold/go.mod.tmpl")
		if err != nil || release && (!strings.Contains(string(mod), "require "+sdkModule+" "+version+"\n") || strings.Contains(string(mod), "replace")) {
			t.Errorf("%v\n%s", err, mod)
		}
	}
	f("v1.2.3", true)
	f("v1.2.3-rc.1", true)
	f("v1.2.3-5-gabcdef0", false)
	f("v1.2.3-dirty", false)
	f("abcdef0", false)
	f("dev", false)
	// The version of Go is the SDK's.
	line := func(file string) string {
		for line := range strings.Lines(readFile(t, file)) {
			if strings.HasPrefix(line, "go ") {
				return line
			}
		}
		return ""
	}
	if scaffold, sdk := line("scaffold/go.mod.tmpl"), line("../sdk/go.mod"); scaffold != sdk {
		t.Errorf("%q, and the SDK's is %q", scaffold, sdk)
	}
}
