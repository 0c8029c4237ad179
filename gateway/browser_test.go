package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browse runs a script of console/page/e2e with a real Chromium. It must end well, within three times the patience.
func browse(t *testing.T, script string, args ...string) {
	t.Helper()
	needs(t, "browser", "../.cache/browser/node_modules/.package-lock.json", "make browser")
	for _, tool := range []string{"node", "chromium"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacks(t, "browser", err.Error())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	node := exec.CommandContext(ctx, "node", append([]string{filepath.Join("console/page/e2e", script)}, args...)...)
	node.Cancel = func() error { return node.Process.Signal(syscall.SIGTERM) } // it ends Chromium
	node.WaitDelay = 10 * time.Second
	out, err := node.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		t.Log(strings.TrimSuffix(line, "\n"))
	}
	require.NoError(t, err)
}

func TestBrowserShowsGateway(t *testing.T) {
	at := freeAddresses(t)
	startRun(t, "--config", at.config(t, needsPlugins(t))).expect(t, "Lockkeeper is ready")
	browse(t, "gateway.mjs", "http://"+at.console+"/")
}
