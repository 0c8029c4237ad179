package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const never, notNow = codes.InvalidArgument, codes.Unavailable

// mustRefuse starts the plugin, which must refuse with the code and with one line that has each of want.
func mustRefuse(t *testing.T, config map[string]any, listen string, code codes.Code, want ...string) {
	t.Helper()
	p, err := storagetest.Launch(t, config, listen)
	if status.Code(err) != code {
		t.Fatalf("%v: %v, want %v\n%s", config, err, code, p.Log)
	}
	message := status.Convert(err).Message()
	for _, text := range want {
		if !strings.Contains(message, text) {
			t.Errorf("%v: %q wants %q", config, message, text)
		}
	}
	if strings.Contains(message, "\n") {
		t.Errorf("%v: %q is not one line", config, message)
	}
}

func TestRefusesAWrongConfiguration(t *testing.T) {
	directory := t.TempDir()
	f := func(config map[string]any, want ...string) {
		t.Helper()
		mustRefuse(t, config, "", never, want...)
	}
	// no data directory
	f(map[string]any{}, "data_directory: missing; set it")
	// all mistakes at once
	f(map[string]any{"retention": "5", "memory_percent": 200}, "data_directory: missing", `retention "5": has no unit`, "memory_percent 200: must be between")
	// too short
	f(map[string]any{"data_directory": directory, "retention": "2h"}, `retention "2h": must be at least 1d`)
	// not a duration
	f(map[string]any{"data_directory": directory, "retention": "soon"}, `retention "soon": `, "write for example 30d, 12w or 1y")
	// an unknown key
	f(map[string]any{"data_directory": directory, "retenton": "30d"}, `unknown key "retenton"`)
}

func TestRefusesWhatItCannotHave(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy := t.TempDir()
	running := start(t, busy)
	locked := t.TempDir()
	lock, err := os.Create(filepath.Join(locked, "flock.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := func(directory, listen string, code codes.Code, want ...string) {
		t.Helper()
		mustRefuse(t, map[string]any{"data_directory": directory}, listen, code, want...)
	}
	// a second process on the same data
	f(busy, "", notNow, busy, "in use by another process; stop that one")
	// a VictoriaMetrics of its own on the same data
	f(locked, "", notNow, locked, "in use by a running VictoriaMetrics; stop it")
	// no right to write: below a file nobody has it, not even root
	f(filepath.Join(file, "data"), "", never, filepath.Join(file, "data"), "cannot be created", "give the gateway's user the right")
	// a file system that takes no files
	f("/proc", "", never, `"/proc"`, "cannot be written", "give the gateway's user the right")
	// the port of the query API is in use
	f(t.TempDir(), taken.Addr().String(), notNow, taken.Addr().String(), "address already in use")

	// the one that runs is not disturbed
	if text := string(running.Get("/api/v1/query?query=1")); !strings.Contains(text, "success") {
		t.Errorf("the running process answers %s", text)
	}
}

// After a mistake in the configuration the same process can be configured well.
func TestMistakeLeavesNothingBehind(t *testing.T) {
	directory := t.TempDir()
	if _, err := open(t.Context(), sdk.NewConfig("x", "256.0.0.1:1", []byte(`{"data_directory":"`+directory+`"}`))); err == nil {
		t.Fatal("an address that does not exist was accepted")
	}
	p := start(t, directory)
	if text := string(p.Get("/api/v1/query?query=1")); !strings.Contains(text, "success") {
		t.Errorf("it answers %s", text)
	}
}
