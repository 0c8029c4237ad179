package pluginhost

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// holdings are what a process may forget to give back.
type holdings struct {
	goroutines, files, children, directories int
}

func holds(t *testing.T, temporary string) (h holdings) {
	t.Helper()
	count := func(pattern string) int {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		return len(found)
	}
	threads, err := filepath.Glob("/proc/self/task/*/children") // zombies are children, too
	require.NoError(t, err)
	for _, thread := range threads {
		children, _ := os.ReadFile(thread)
		h.children += len(strings.Fields(string(children)))
	}
	h.goroutines, h.files, h.directories = runtime.NumGoroutine(), count("/proc/self/fd/*"), count(temporary+"/*")+count(temporary+"/*/*")+count(temporary+"/*/*/*")
	return h
}

// A hundred restarts leave nothing behind.
func TestRestartsLeaveNothingBehind(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts what a process holds in /proc")
	}
	const plugins, restarts = 5, 20
	temporary, err := os.MkdirTemp("", "") // t.TempDir is too long a path for a socket
	require.NoError(t, err)
	defer os.RemoveAll(temporary)
	t.Setenv("TMPDIR", temporary)
	directory := t.TempDir()
	cfg := "directory: '" + directory + "'\nprocesses:\n"
	binary := func(i int) string { return fmt.Sprintf("%s/storage-demo%d", directory, i) }
	for i := range plugins {
		cfg += fmt.Sprintf("  demo%d: {kind: storage}\n", i)
		script(t, binary(i), "")
	}
	idle := holds(t, temporary)
	f := newFixture(t, cfg).start()
	running := func() bool {
		for _, p := range f.list() {
			if p.State != "running" || f.call(p.Name) != nil {
				return false
			}
		}
		return true
	}
	before := holds(t, temporary)
	for range restarts {
		for i, p := range f.list() {
			script(t, binary(i), "") // one that is replaced does not wait
			require.NoError(t, syscall.Kill(p.PID, syscall.SIGKILL))
			f.until(30*time.Second, "seen", func() bool { return f.list()[i].PID != p.PID })
		}
		f.until(60*time.Second, "back", running)
	}
	for _, p := range f.list() {
		require.GreaterOrEqual(t, p.Restarts, restarts)
	}
	settled := func(want holdings) func() bool {
		return func() bool {
			now := holds(t, temporary)
			const own = 5 // goroutines of the waiting itself
			return now.goroutines <= want.goroutines+own && now.files <= want.files && now.children <= want.children && now.directories <= want.directories
		}
	}
	t.Logf("before %+v, after %+v", before, holds(t, temporary))
	f.until(30*time.Second, "no more than before", settled(before))
	require.NoError(t, f.Shutdown(t.Context()))
	t.Logf("idle %+v, stopped %+v", idle, holds(t, temporary))
	f.until(30*time.Second, "nothing", settled(idle))
}

// What a plugin has started ends with it, or it would hold the data and the pipes.
func TestChildrenOfThePluginEnd(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a plugin has a process group of its own on Linux only")
	}
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	directory := t.TempDir()
	program := "#!/bin/sh\nsleep 1000 &\necho $! >'" + directory + "/child'\nexec '" + self + "'\n"
	require.NoError(t, os.WriteFile(filepath.Join(directory, "storage-demo"), []byte(program), 0o700))
	f := newFixture(t, `{directory: '`+directory+`', processes: {demo: {kind: storage}}}`).start()
	child := func() int {
		text, err := os.ReadFile(filepath.Join(directory, "child"))
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		require.NoError(t, err)
		return pid
	}
	gone := func(pid int) func() bool { // or nobody has asked for its exit code yet
		return func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(stat), ") Z ")
		}
	}
	first, pid := child(), f.list()[0].PID
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	f.until(20*time.Second, "back", func() bool { return f.list()[0].State == "running" && f.list()[0].PID != pid })
	f.until(20*time.Second, "the child of the first is gone", gone(first))
	second := child()
	require.False(t, gone(second)())
	require.NoError(t, f.Shutdown(t.Context()))
	f.until(20*time.Second, "the child of the second is gone", gone(second))
}
