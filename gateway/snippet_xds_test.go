package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSnippetXDS(t *testing.T) {
	code, delta, stderr := call(t, "snippet", "envoy", "--xds", "192.0.2.10:18000", "--address", "192.0.2.10:9001")
	if code != 0 {
		t.Fatal(stderr)
	}
	const file = "../deploy/envoy/xds.yaml"
	if *update {
		rewrite(t, file, delta)
	}
	if diff := cmp.Diff(readFile(t, file), delta); diff != "" {
		t.Errorf("%s is not what the command prints (go test ./gateway -run Snippet -update writes it):\n%s", file, diff)
	}
	_, state, _ := call(t, "snippet", "envoy", "--xds", "192.0.2.10:18000", "--address", "192.0.2.10:9001", "--sotw")
	if diff := cmp.Diff(strings.Replace(delta, "DELTA_GRPC", "GRPC", 1), state); diff != "" {
		t.Errorf("--sotw:\n%s", diff)
	}
	f := func(want string, args ...string) {
		t.Helper()
		code, _, stderr := call(t, append([]string{"snippet", "envoy"}, args...)...)
		if code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d: %s", args, code, stderr)
		}
	}
	f(`--xds "nowhere": must be HOST:PORT`, "--xds", "nowhere")
	f("leave out one of --full and --xds", "--xds", "192.0.2.10:18000", "--full")
	f("--sotw: is for --xds", "--sotw")
}

func TestEnvoyAcceptsTheXDSSnippet(t *testing.T) {
	envoy := needsEnvoy(t)
	for _, args := range [][]string{nil, {"--sotw"}} {
		_, bootstrap, _ := call(t, append([]string{"snippet", "envoy", "--xds", "127.0.0.1:18000"}, args...)...)
		if out, err := exec.Command(envoy, "--mode", "validate", "--disable-hot-restart", "-c", writeFile(t, bootstrap)).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
