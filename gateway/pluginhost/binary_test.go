package pluginhost

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"
)

// script makes a plugin binary of its own: this test binary, started by a shell. What is other in two is their comment.
func script(t *testing.T, path, comment string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	fresh := path + "." + strconv.FormatInt(time.Now().UnixNano(), 10)
	require.NoError(t, os.WriteFile(fresh, []byte("#!/bin/sh\n# "+comment+"\nexec '"+self+"'\n"), 0o700))
	require.NoError(t, os.Rename(fresh, path))
}

func TestBinaryIsReplaced(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	binary := filepath.Join(directory, "storage-demo")
	script(t, binary, "old")
	f := newFixture(t, `{directory: `+directory+`, processes: {demo: {kind: storage}}}`).start()
	pid := f.list()[0].PID
	script(t, binary, "new")
	f.until(20*time.Second, "seen", func() bool { return f.list()[0].BinaryChanged })
	f.until(20*time.Second, "told", func() bool {
		changed, _ := f.metric("lockkeeper_plugin_binary_changed", "plugin=demo")
		return changed == 1
	})
	require.Equal(t, pid, f.list()[0].PID, "the old one goes on")
	require.NoError(t, f.call("demo"))
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	f.until(20*time.Second, "the new one runs", func() bool { return f.call("demo") == nil && f.list()[0].PID != pid })
	require.False(t, f.list()[0].BinaryChanged)
	changed, _ := f.metric("lockkeeper_plugin_binary_changed", "plugin=demo")
	require.Zero(t, changed)
	require.Equal(t, 1, f.logs.FilterMessageSnippet("the plugin's binary was replaced").Len(), "one warning")
}

func TestReplacedBinaryMustBeThePinnedOne(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	binary := filepath.Join(directory, "storage-demo")
	script(t, binary, "right")
	right, err := os.ReadFile(binary)
	require.NoError(t, err)
	f := newFixture(t, fmt.Sprintf(`{directory: '%s', processes: {demo: {kind: storage, sha256: '%x'}}}`, directory, sha256.Sum256(right))).start()
	pid := f.list()[0].PID
	script(t, binary, "wrong")
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	f.until(20*time.Second, "refused", func() bool { return strings.Contains(f.list()[0].LastError, "it is not the binary that was pinned") })
	f.until(20*time.Second, "refused again", func() bool { return f.list()[0].Restarts >= 5 })
	require.NotEqual(t, "running", f.list()[0].State)
	up, _ := f.metric("lockkeeper_plugin_up", "plugin=demo")
	require.Zero(t, up)

	script(t, binary, "right")
	back := time.Now()
	f.until(20*time.Second, "back", func() bool { return f.call("demo") == nil })
	t.Logf("back %s after the right binary was", time.Since(back))
	require.Less(t, time.Since(back), 5*time.Second)
}

// Whoever replaces a binary does not want to wait for the back-off.
func TestReplacedBinaryIsTriedAtOnce(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "storage-demo")
	script(t, binary, "old")
	m, err := newMetrics(noop.NewMeterProvider())
	require.NoError(t, err)
	p := &process{binary: binary, log: zap.NewNop(), metrics: m}
	p.change(stateStarting, nil, nil)
	replacing := time.AfterFunc(2*binaryInterval, func() { script(t, binary, "new") })
	defer replacing.Stop()
	again, replaced := p.wait(t.Context(), errors.New("it fails"), time.Hour)
	require.True(t, again)
	require.True(t, replaced)
	// removed is no reason to try, back is one
	p.change(stateStarting, nil, nil)
	require.NoError(t, os.Remove(binary))
	require.True(t, p.binaryChanged())
	p.change(stateStarting, nil, nil)
	require.False(t, p.binaryChanged())
}
