package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	goplugin "github.com/hashicorp/go-plugin"
)

// pluginDirectory is where binaries are looked for.
func pluginDirectory(configured string) (string, error) {
	if configured != "" {
		return filepath.Abs(configured)
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the gateway's own binary: %w: set plugins.directory", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find the gateway's own binary: %w: set plugins.directory", err)
	}
	return filepath.Join(filepath.Dir(self), "plugins"), nil
}

// checkBinary tells why the file at path can't be run, or must not be.
func checkBinary(path, pinned string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no plugin binary at %q: run `make build`, or set plugins.directory", path)
	case err != nil:
		return fmt.Errorf("plugin binary: %w", err)
	case info.IsDir():
		return fmt.Errorf("plugin binary %q is a directory", path)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("plugin binary %q is not executable: chmod +x it", path)
	case pinned == "":
		return nil
	}
	expected, err := hex.DecodeString(pinned)
	if err != nil {
		return fmt.Errorf("sha256: %w", err)
	}
	sum := sha256.New()
	same, err := (&goplugin.SecureConfig{Checksum: expected, Hash: sum}).Check(path)
	if err != nil {
		return fmt.Errorf("sha256 of %q: %w", path, err)
	}
	if !same {
		return fmt.Errorf("sha256 of %q is %x, expected %x: it is not the binary that was pinned; restore that one, or pin the new one", path, sum.Sum(nil), expected)
	}
	return nil
}

// lookAtBinary tells, once, that the binary on disk is no longer the one that runs.
func (p *process) lookAtBinary() {
	now := p.binaryChanged()
	p.mu.Lock()
	before := p.replaced
	p.replaced = now
	p.mu.Unlock()
	if now == before {
		return
	}
	p.metrics.binaryChanged(p.name, now)
	if now {
		p.log.Warn("the plugin's binary was replaced: the one that was started goes on, its next restart takes the new one")
	}
}

// binaryChanged tells whether the binary is another file than at the last start.
func (p *process) binaryChanged() bool {
	p.mu.Lock()
	started := p.started
	p.mu.Unlock()
	return !sameFile(started, fileAt(p.binary))
}

// fileAt is nil when there is none.
func fileAt(path string) fs.FileInfo {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
