package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// amtool is Alertmanager's own command line, set up for a gateway as the README says.
type amtool struct{ binary, home string }

func newAmtool(t *testing.T, g *alertingGateway, token string) amtool {
	t.Helper()
	a := amtool{binary: needs(t, "amtool", "../.cache/tools/amtool", "make amtool"), home: t.TempDir()}
	http := writeFile(t, "{}")
	if token != "" {
		http = writeFile(t, "authorization: {credentials_file: "+writeFile(t, token+"\n")+"}")
	}
	directory := filepath.Join(a.home, ".config", "amtool")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(directory, "config.yml"), alertingExample(t, "# ~/.config/amtool/config.yml",
		"localhost:7070", g.console, "/etc/amtool/http.yml", http))
	return a
}

// alertingExample is the example of alerting's README that begins with a line, with texts replaced by others.
func alertingExample(t *testing.T, first string, replace ...string) string {
	t.Helper()
	readme, err := os.ReadFile("alerting/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(readme), "```yaml\n"+first+"\n")
	if !found {
		t.Fatalf("no example in alerting/README.md begins with %q", first)
	}
	example, _, _ = strings.Cut(example, "```")
	for pair := range slices.Chunk(replace, 2) {
		if !strings.Contains(example, pair[0]) {
			t.Fatalf("the example has no %q:\n%s", pair[0], example)
		}
		example = strings.ReplaceAll(example, pair[0], pair[1])
	}
	return example
}

// run gives what amtool prints, on standard output or as an error.
func (a amtool) run(args ...string) (stdout, stderr string, err error) {
	var out, complaint bytes.Buffer
	cmd := exec.Command(a.binary, args...)
	cmd.Env = append(os.Environ(), "HOME="+a.home)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	return strings.TrimSpace(out.String()), strings.TrimSpace(complaint.String()), err
}

// says runs amtool, which must work and print the text, and returns all that it prints.
func (a amtool) says(t *testing.T, want string, args ...string) string {
	t.Helper()
	stdout, stderr, err := a.run(args...)
	if err != nil || stderr != "" || !strings.Contains(stdout, want) {
		t.Fatalf("amtool %q: %v %s\n%s\nwant %q", args, err, stderr, stdout, want)
	}
	return stdout
}

// Amtool lists, silences and expires as with any Alertmanager.
func TestAmtool(t *testing.T) {
	g := newAlertingGateway(t)
	a := newAmtool(t, g, operatorToken)
	startRun(t, g.args...).expect(t, "Lockkeeper is ready")
	g.until(t, `"StorageAnswers"`)
	f := func(want string, args ...string) string {
		t.Helper()
		return a.says(t, want, args...)
	}
	f("StorageAnswers", "alert", "query")
	f("", "alert", "add", "Posted", "idc=a", "--annotation", "summary=by hand")
	f("by hand", "alert", "query", "idc=a")
	g.until(t, `"Posted"`, `"by hand"`)

	id := f("", "silence", "add", "--comment", "known", "--duration", "2h", "idc=~a|b")
	f(`idc=~"a|b"`, "silence", "query")
	f("suppressed", "alert", "query", "--silenced", "Posted")
	if list := f("StorageAnswers", "alert", "query"); strings.Contains(list, "Posted") {
		t.Errorf("it is silenced:\n%s", list)
	}
	f("", "silence", "update", "--comment", "known and long", "--duration", "4h", id)
	f("known and long", "silence", "query")
	silences := f(id, "silence", "query", "--output", "json")
	f("", "silence", "expire", id)
	f("active", "alert", "query", "Posted")
	f(id, "silence", "query", "--expired")

	// From one Alertmanager to another.
	f("", "silence", "import", writeFile(t, silences))
	var imported []struct{ Comment string }
	if err := json.Unmarshal([]byte(f("", "silence", "query", "--output", "json")), &imported); err != nil {
		t.Fatal(err)
	}
	if len(imported) != 1 || imported[0].Comment != "known and long" {
		t.Errorf("imported: %+v, exported: %s", imported, silences)
	}

	f("default-route  receiver: team", "config", "routes", "show")
	f("team", "config", "routes", "test", "alertname=Posted")
	f("group_by:", "config", "show")
	f("disabled", "cluster", "show")
}

// Who has no token may look, and is told by the status that a token is missing.
func TestAmtoolWithoutToken(t *testing.T) {
	g := newAlertingGateway(t)
	a, wrong := newAmtool(t, g, ""), newAmtool(t, g, operatorToken+"0")
	startRun(t, g.args...).expect(t, "Lockkeeper is ready")
	g.until(t, `"StorageAnswers"`)
	a.says(t, "StorageAnswers", "alert", "query")
	f := func(a amtool, args ...string) {
		t.Helper()
		stdout, stderr, err := a.run(args...)
		if err == nil || !strings.Contains(stderr, "(status 401)") {
			t.Errorf("amtool %q: %v\n%s%s", args, err, stdout, stderr)
		}
	}
	for _, a := range []amtool{a, wrong} {
		f(a, "silence", "add", "--comment", "known", "StorageAnswers")
		f(a, "silence", "expire", "80eda585-0c60-487c-ae86-3fef58447f59")
		f(a, "alert", "add", "Posted")
	}
}
