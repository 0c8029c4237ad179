package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
)

// Binary is what a plugin would be started from.
type Binary struct {
	Name, Kind, Path string
	Address          string // of a server that somebody else runs; then there is no Path
	SHA256           string // of the file as it is now; empty: it cannot be read
	Pinned           string // what SHA256 must be; empty: anything
	Err              error  // why the plugin would not be started; nil: it would be
}

// Verify tells what the plugins of a configuration of this extension would be started from, by name. It starts nothing.
func Verify(config component.Config) ([]Binary, error) {
	cfg, ok := config.(*Config)
	if !ok {
		return nil, fmt.Errorf("%T is no configuration of the extension plugins", config)
	}
	directory, err := pluginDirectory(cfg.Directory)
	if err != nil {
		return nil, err
	}
	var binaries []Binary
	for _, name := range slices.Sorted(maps.Keys(cfg.Processes)) {
		p := cfg.Processes[name]
		if p.Address != "" {
			binaries = append(binaries, Binary{Name: name, Kind: p.Kind, Address: p.Address})
			continue
		}
		b := Binary{Name: name, Kind: p.Kind, Path: filepath.Join(directory, p.binary(name)), Pinned: strings.ToLower(p.SHA256)}
		b.SHA256, b.Err = sumOf(b.Path)
		if err := checkBinary(b.Path, b.Pinned); err != nil {
			b.Err = err // says more
		}
		binaries = append(binaries, b)
	}
	return binaries, nil
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
