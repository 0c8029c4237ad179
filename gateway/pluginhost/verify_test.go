package pluginhost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerify(t *testing.T) {
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc", in FIPS 180-2
	directory := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(text), mode))
	}
	write("storage-free", "abc", 0o700)
	write("other", "abc", 0o700)
	write("notification-changed", "abd", 0o700)
	write("alerting-text", "abc", 0o600)
	cfg := &Config{Directory: directory, Processes: map[string]Process{
		"free":    {Kind: "storage"},
		"pinned":  {Kind: "storage", Use: "other", SHA256: strings.ToUpper(sum)},
		"changed": {Kind: "notification", SHA256: sum},
		"text":    {Kind: "alerting"},
		"gone":    {Kind: "alerting"},
		"far":     {Kind: "alerting", Address: "acme.internal:7443"},
	}}
	found, err := Verify(cfg)
	require.NoError(t, err)
	byName := map[string]Binary{}
	var names []string
	for _, b := range found {
		byName[b.Name], names = b, append(names, b.Name)
	}
	require.Equal(t, []string{"changed", "far", "free", "gone", "pinned", "text"}, names)
	require.Equal(t, Binary{Name: "free", Kind: "storage", Path: filepath.Join(directory, "storage-free"), SHA256: sum}, byName["free"])
	require.Equal(t, Binary{Name: "pinned", Kind: "storage", Path: filepath.Join(directory, "other"), SHA256: sum, Pinned: sum}, byName["pinned"])
	require.ErrorContains(t, byName["changed"].Err, "it is not the binary that was pinned")
	require.NotEqual(t, sum, byName["changed"].SHA256)
	require.ErrorContains(t, byName["text"].Err, "chmod +x it")
	require.ErrorContains(t, byName["gone"].Err, "no plugin binary at")
	require.Empty(t, byName["gone"].SHA256)
	require.Equal(t, Binary{Name: "far", Kind: "alerting", Address: "acme.internal:7443"}, byName["far"], "nothing to look at")
	_, err = Verify(nil)
	require.Error(t, err)
}
