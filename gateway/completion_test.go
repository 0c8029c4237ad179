package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// inBash is what a real bash offers at the end of a line, of which the words are cut as bash does. $URL is the gateway's.
func inBash(t *testing.T, url, line string) []string {
	t.Helper()
	directory := t.TempDir()
	link(t, os.Args[0], filepath.Join(directory, "lockkeeper"))
	const script = `
source <(lockkeeper completion bash) || exit 1
complete -p lockkeeper >/dev/null || exit 1
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
read -r -a COMP_WORDS <<<"$(sed -E 's/([=:]+)/ \1 /g' <<<"$1")"
[[ $1 == *[\ =:] ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
__start_lockkeeper 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
`
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "-c", script, "bash", line)
	cmd.Env = append(os.Environ(), mainEnv+"=1", "LOCKKEEPER_URL="+url, "PATH="+directory+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var words []string
	for line := range strings.Lines(string(out)) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word != "" {
			words = append(words, word)
		}
	}
	return words
}

func TestCompletionInBash(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		lacks(t, "bash", "needs bash")
	}
	mux := http.NewServeMux()
	for path, body := range map[string]string{
		"/api/v1/failover": `{"subjects":[{"subject":"machine/a"},{"subject":"machine/b"},{"subject":"endpoint/10.0.0.1:80"},{"subject":"evil\u001b x"},{"subject":"$(touch${IFS}x)1"},{"subject":"$(touch${IFS}x)2"},{"subject":"touch;1"},{"subject":"--partial"}],"holds":[{"subject":"machine/held"}]}`,
		"/api/v1/serving":  `{"idcs":{"idc1":{},"idc2":{}}}`,
		"/api/v1/plugins":  `{"plugins":[{"name":"chat","kind":"notification"},{"name":"victoriametrics","kind":"storage"}]}`,
		"/api/v1/dns":      `{"zones":[{"names":[{"name":"api.gslb.example.com."}]}]}`,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	f := func(line string, want ...string) {
		t.Helper()
		if got := inBash(t, server.URL, line); !slices.Equal(got, want) {
			t.Errorf("%q offers %q, want %q", line, got, want)
		}
	}
	f("lockkeeper stat", "status")
	f("lockkeeper failover re", "release", "restore")
	f("lockkeeper failover eject mach", "machine/a", "machine/b")
	f("lockkeeper failover hold endpoint/10.0.0.1:", "80") // bash has the rest
	f("lockkeeper failover release ", "machine/held")
	f("lockkeeper failover eject machine/a ")
	f("lockkeeper failover eject ", "endpoint/10.0.0.1:80", "machine/a", "machine/b") // nothing that bash would run
	f("lockkeeper plugin logs ", "chat", "victoriametrics")
	f("lockkeeper plugin send-test ", "chat")
	f("lockkeeper shift plan --to idc", "idc1=", "idc2=")
	f("lockkeeper tail --idc ", "idc1", "idc2")
	f("lockkeeper explain UF,URX,UA", `UF\,URX\,UAEX`) // as bash takes it
	f("lockkeeper explain api", "api.gslb.example.com")
	f("lockkeeper status -o ", "json", "text")
	f("lockkeeper completion ", "bash", "zsh", "fish")

	// without a gateway, and with one that hangs, nothing is said, and soon
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hanging.Close()
	for _, url := range []string{"http://127.0.0.1:1", hanging.URL, "no url"} {
		began := time.Now()
		code, out, _ := call(t, "__complete", "failover", "eject", "--url", url, "")
		if code != 0 || out != ":4\n" {
			t.Errorf("%s: exit %d: %q", url, code, out)
		}
		t.Logf("%s: nothing after %s", url, time.Since(began))
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, stderr := call(t, "completion", shell); code != 0 || !strings.Contains(out, "lockkeeper __complete") && !strings.Contains(out, "__complete") {
			t.Errorf("%s: exit %d\n%s%s", shell, code, out, stderr)
		}
	}
	if code, _, stderr := call(t, "completion", "tcsh"); code != 2 || !strings.Contains(stderr, "bash, zsh or fish") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
