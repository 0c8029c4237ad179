package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every query of the boards runs against a gateway with a real storage, which the demo's mesh of real Envoys fills. USE and Application
// are shown by TestLayers, beside what they look at.
func TestBoardsShowTheDemo(t *testing.T) {
	envoy, plugins := needsEnvoy(t), needsPlugins(t)
	if !inOwnNetwork(t) {
		return
	}
	demo := filepath.Join(t.TempDir(), "two-idc")
	build := exec.Command("go", "build", "-o", demo, "../examples/two-idc")
	text, err := build.CombinedOutput()
	require.NoError(t, err, string(text))
	directory, err := filepath.Abs("testdata/boards")
	require.NoError(t, err)
	rules, err := filepath.Abs("../deploy/rules")
	require.NoError(t, err)
	out := t.TempDir()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(readFile(t, filepath.Join(out, "live", "gateway.log")))
		}
	})
	cmd := exec.Command(demo, "--gateway", os.Args[0], "--envoy", envoy, "--out", out, "--config", filepath.Join(directory, "lockkeeper.yaml"))
	cmd.Env = append(os.Environ(), mainEnv+"=1", "BOARDS="+directory, "BOARDS_PLUGINS="+plugins, "BOARDS_RULES="+rules)
	startCommand(t, cmd).expect(t, "applications are ready")

	askSources(t)
	v := viewer{prometheus: boardSources(t)["lockkeeper"], choices: demoChoices()}
	boards := slices.DeleteFunc(readBoards(t), func(b *board) bool { return b.file == "use.json" || b.file == "application.json" })
	v.show(t, boards, emptyInTheDemo())
}
