package pluginhost

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckHandshake(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		if want == "" {
			require.NoError(t, checkHandshake(line))
			return
		}
		require.EqualError(t, checkHandshake(line), want)
	}
	f("1|1|unix|/tmp/plugin|grpc|cert\n", "")
	f("1|1|tcp|127.0.0.1:1234|grpc\r\n", "")
	// a protocol that is not ours
	f("1|2|unix|/tmp/plugin|grpc\n", "speaks protocol 2, this gateway speaks 1: update the gateway, or use an older build of the plugin")
	f("1|0|unix|/tmp/plugin|grpc\n", "speaks protocol 0, this gateway speaks 1: update the plugin")
	f("2|1|unix|/tmp/plugin|grpc\n", "speaks protocol 2 of go-plugin, this gateway speaks 1: build it with another version of go-plugin")
	f("1|1|unix|/tmp/plugin|netrpc\n", "does not serve gRPC: the fifth part of its handshake must be grpc")
	f("1|1|unix|/tmp/plugin\n", "does not serve gRPC: the fifth part of its handshake must be grpc")
	// no handshake at all
	f("", "no handshake: it closed its stdout without a word; a plugin serves and says so in its first line")
	f("\n", `no handshake: it printed ""; a plugin serves first and prints nothing to stdout before`)
	f("Loading | models | now | please\n", `no handshake: it printed "Loading | models | now | please"; a plugin serves first and prints nothing to stdout before`)
	f("1|x|unix|/tmp/plugin|grpc\n", `no handshake: "x" is no protocol version`)
}

func FuzzHandshake(f *testing.F) {
	f.Add("1|1|unix|/tmp/plugin|grpc|cert")
	f.Add("1|2|tcp||")
	f.Add("\x00|\xff||||||")
	f.Fuzz(func(t *testing.T, line string) {
		if err := checkHandshake(line); err != nil {
			require.LessOrEqual(t, len(err.Error()), 2000)
		}
	})
}

func TestPluginOfAnotherProtocol(t *testing.T) {
	directory := t.TempDir()
	binary := filepath.Join(directory, "storage-demo")
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\necho '1|2|unix|/nowhere|grpc'\nexec sleep 60\n"), 0o700))
	f := newFixture(t, `{directory: '`+directory+`', processes: {demo: {kind: storage}}}`)
	require.EqualError(t, f.Start(t.Context(), f.console),
		"plugins: demo: speaks protocol 2, this gateway speaks 1: update the gateway, or use an older build of the plugin")
	require.Equal(t, "stopped", f.list()[0].State)
}
