package main

import (
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// On a full disk requests are refused for now, queries are answered, and it goes on when there is room.
func TestFullDisk(t *testing.T) {
	directory := t.TempDir()
	size := func(flags uintptr, size string) error {
		return syscall.Mount("tmpfs", directory, "tmpfs", flags, "size="+size)
	}
	if err := size(0, "200m"); err != nil {
		t.Skipf("a disk of its own needs the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(directory, syscall.MNT_DETACH) })
	p := start(t, directory)
	p.mustExport(record("before", time.Now(), nil, nil))
	p.eventually("before", 1)
	if err := size(syscall.MS_REMOUNT, "50m"); err != nil {
		t.Fatal(err)
	}
	until := func(code codes.Code) { // VictoriaLogs looks at its disk once a second or so
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); status.Code(p.export(record("tried", time.Now(), nil, nil))) != code; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never %v", code)
			}
		}
	}
	until(codes.Unavailable)
	p.eventually("before", 1)
	if err := size(syscall.MS_REMOUNT, "200m"); err != nil {
		t.Fatal(err)
	}
	until(codes.OK)
	p.mustExport(record("after", time.Now(), nil, nil))
	p.eventually("after", 1)
	p.Kill()
}
