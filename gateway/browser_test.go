package main

import (
	"context"
	"fmt"
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

// browserToken is that of an operator.
const browserToken = "browser-test-token-0123456789"

// browserConfig has a machine that is dead, two IDCs and somebody who may change things.
const browserConfig = `
receivers:
  probes:
    modules: {port: {prober: tcp, timeout: 250ms}}
    targets: [{module: port, target: %q, subject: machine/m1, interval: 250ms}]
extensions:
  failover: {idcs: {idc1: {weight: 50, capacity_percent: 100}, idc2: {weight: 50, capacity_percent: 100}}}
  console: {tokens: [{name: oncall, role: operator, token: %q}]}
`

func TestBrowser(t *testing.T) {
	at := freeAddresses(t)
	more := writeFile(t, fmt.Sprintf(browserConfig, freeAddress(t), browserToken))
	startRun(t, "--config", at.config(t, needsPlugins(t)), "--config", more).expect(t, "Lockkeeper is ready")
	url := "http://" + at.console + "/"
	t.Run("of a gateway", func(t *testing.T) { browse(t, "gateway.mjs", url, browserToken) })
	t.Run("previews", func(t *testing.T) { browse(t, "preview.mjs", url, browserToken) })
	t.Run("of a large mesh", func(t *testing.T) { browse(t, "scale.mjs", url) })
	t.Run("in trouble", func(t *testing.T) { browse(t, "trouble.mjs", url) })
}

// Who has a client certificate needs no token.
func TestBrowserWithACertificate(t *testing.T) {
	file, at := certificate(t), freeAddresses(t)
	more := writeFile(t, fmt.Sprintf(browserConfig, freeAddress(t), browserToken))
	tls := writeFile(t, fmt.Sprintf(`extensions: {console: {tls: {cert_file: %q, key_file: %q, client_ca_file: %q}, certificates: [{name: chief, role: operator}]}}`, file, file, file))
	startRun(t, "--config", at.config(t, needsPlugins(t)), "--config", more, "--config", tls).expect(t, "Lockkeeper is ready")
	browse(t, "certificate.mjs", "https://"+at.console+"/", file)
}
