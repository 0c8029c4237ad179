package pluginhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// socketsPattern is short because the path of a socket may have 104 bytes.
const socketsPattern = "lkplugins-*"

// leftoverAge is how old a directory without a lock must be: much more than it takes to lock a new one.
const leftoverAge = 10 * time.Second

// sockets is the directory in which plugins have their sockets. It is locked while the gateway lives: one without
// a lock is what a gateway that was killed has left behind.
type sockets struct {
	mu   sync.Mutex
	lock *os.File // the directory; nil before it is needed
}

// directory makes it when there is none, or no longer.
func (s *sockets) directory() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock != nil {
		if _, err := os.Stat(s.lock.Name()); err == nil {
			return s.lock.Name(), nil
		}
		_ = s.lock.Close() // somebody has cleaned up
		s.lock = nil
	}
	for _, path := range leftovers() {
		sweep(path)
	}
	var err error
	if s.lock, err = makeLocked(); err == nil {
		return s.lock.Name(), nil
	}
	return "", fmt.Errorf("directory for the sockets of plugins: %w: set TMPDIR to a directory that can be written", err)
}

func makeLocked() (*os.File, error) {
	path, err := os.MkdirTemp("", socketsPattern)
	if err != nil {
		return nil, err
	}
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	_, missing := os.Stat(path)
	if err := errors.Join(lock(directory), missing); err != nil {
		return nil, errors.Join(err, directory.Close(), os.RemoveAll(path))
	}
	return directory, nil
}

// close removes the directory. Only when no plugin runs any more.
func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return
	}
	_ = os.RemoveAll(s.lock.Name())
	_ = s.lock.Close()
	s.lock = nil
}

// leftovers are the directories of all gateways. Nobody can tell whose gateway is gone but on Linux.
func leftovers() []string {
	if runtime.GOOS != "linux" {
		return nil
	}
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), socketsPattern)) // the pattern is not a bad one
	return paths
}

// sweep removes a directory whose gateway is gone, as far as go-plugin has filled it. A young one may only not be locked yet.
func sweep(path string) {
	directory, err := os.Open(path)
	if err != nil {
		return
	}
	defer directory.Close()
	if made, err := directory.Stat(); err != nil || time.Since(made.ModTime()) < leftoverAge {
		return
	}
	if lock(directory) != nil {
		return
	}
	sockets, _ := filepath.Glob(filepath.Join(path, "plugin-dir*"))
	for _, name := range sockets {
		_ = os.RemoveAll(name)
	}
	_ = os.Remove(path) // not when there is more in it
}
