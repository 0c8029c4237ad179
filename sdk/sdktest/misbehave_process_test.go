package sdktest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestCatchesProcess(t *testing.T) {
	t.Parallel()
	var all cases
	defer all.Wait()
	binary := filepath.Join(t.TempDir(), "misbehaving")
	if out, err := exec.Command("go", "build", "-o", binary, "./testdata/misbehaving").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f := func(does string, failures map[string]string) {
		all.add(t, does, func(t *testing.T) {
			directory := t.TempDir()
			named := filepath.Join(directory, does)
			if err := os.Link(binary, named); err != nil {
				t.Fatal(err)
			}
			expect(t, func(report func(Result)) error {
				return Check(t.Context(), Target{Binary: named, Config: map[string]any{"directory": directory}}, report)
			}, failures)
		})
	}
	f("prints-first", map[string]string{"handshake": `it printed "starting up" to standard output, where nothing but the handshake line may come first`})
	f("exits-at-once", map[string]string{"handshake": `it ended before its handshake; its last words: "no such library: libacme.so"`})
	f("speaks-another-protocol", map[string]string{"handshake": "version"})
	f("ignores-its-host", map[string]string{"ends with its host": "its process was still there"})
	f("ignores-sigterm", map[string]string{"ends on SIGTERM": "its process was still there"})
	f("runs-by-hand", map[string]string{"run by hand": "it still ran after"})
	f("talks-by-hand", map[string]string{"run by hand": "want exit code 1"})
	f("leaves-a-lock", map[string]string{
		"killed in mid-call": `Configure with INVALID_ARGUMENT "locked"`,
		"ends on SIGTERM":    "locked",
		"ends with its host": "locked",
	})
}

func TestCheckThatCannotRun(t *testing.T) {
	f := func(target Target) {
		t.Helper()
		err := Check(t.Context(), target, func(r Result) { t.Errorf("%+v", r) })
		t.Log(err)
		if err == nil || errors.Is(err, ErrFailed) {
			t.Errorf("%+v: %v", target, err)
		}
	}
	f(Target{})
	f(Target{Binary: "x", Address: "x"})
	f(Target{Binary: "testdata/nothing"})
	f(Target{Binary: "testdata"})
	f(Target{Binary: "sdktest.go"})
	address, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	f(Target{Address: address})
	f(Target{Address: "no port"})
}
