package pluginhost

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSockets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells whether a gateway lives")
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	mkdir := func(names ...string) {
		for _, name := range names {
			require.NoError(t, os.MkdirAll(filepath.Join(temporary, name), 0o700))
			old := time.Now().Add(-leftoverAge)
			require.NoError(t, os.Chtimes(filepath.Join(temporary, strings.Split(name, "/")[0]), old, old))
		}
	}
	there := func() (names []string) {
		entries, err := os.ReadDir(temporary)
		require.NoError(t, err)
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names
	}
	require.NoError(t, os.Mkdir(filepath.Join(temporary, "lkplugins-young"), 0o700))
	mkdir("lkplugins-1/plugin-dir1", "lkplugins-2", "lkplugins-3/of-somebody-else", "other")
	var one, two sockets
	first, err := one.directory()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"lkplugins-3", "lkplugins-young", "other", filepath.Base(first)}, there(), "what a killed gateway left is gone")
	again, err := one.directory()
	require.NoError(t, err)
	require.Equal(t, first, again)
	mkdir(filepath.Base(first) + "/plugin-dir1")

	second, err := two.directory()
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.DirExists(t, first+"/plugin-dir1", "its gateway lives")

	// removed behind our back
	require.NoError(t, os.RemoveAll(first))
	first, err = one.directory()
	require.NoError(t, err)
	require.DirExists(t, first)

	one.close()
	one.close()
	two.close()
	require.ElementsMatch(t, []string{"lkplugins-3", "lkplugins-young", "other"}, there())

	t.Setenv("TMPDIR", filepath.Join(temporary, "none"))
	_, err = one.directory()
	require.ErrorContains(t, err, "set TMPDIR to a directory that can be written")
}

// Gateways that start at once do not take each other's directory for a leftover.
func TestSocketsOfManyGateways(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var all [8]sockets
	var starting sync.WaitGroup
	for i := range all {
		starting.Go(func() {
			_, err := all[i].directory()
			if err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for i := range all {
		require.DirExists(t, all[i].lock.Name())
		all[i].close()
	}
}
