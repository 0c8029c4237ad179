// Package victoria is what VictoriaMetrics and VictoriaLogs have in common as storage plugins: their settings, a data directory
// that one process has at a time, a write-ahead log for what they hold only in memory, an HTTP server and their log lines.
// Each of them is made of global state, and ends its process when it cannot go on.
package victoria

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/flagutil"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/fs"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// Settings is the configuration of both plugins.
type Settings struct {
	// DataDirectory holds the database's data and the write-ahead log. Required.
	DataDirectory string `yaml:"data_directory"`

	// Retention is how long data is kept, in VictoriaMetrics's syntax with a unit: 30d, 12w, 1y; at least 1d.
	Retention string `yaml:"retention"`

	// MemoryPercent is the share of the machine's (or the container's) memory that caches may take.
	MemoryPercent float64 `yaml:"memory_percent"`
}

// Decode is the configuration that was given, over the defaults; the data directory is absolute. Its error tells all mistakes.
func Decode(c sdk.Config, defaults Settings) (Settings, error) {
	s := defaults
	if err := c.Decode(&s); err != nil {
		return s, err
	}
	var mistakes []string
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	if s.DataDirectory == "" {
		mistake("data_directory: missing; set it to a directory that only this plugin uses")
	} else if path, err := filepath.Abs(s.DataDirectory); err != nil {
		mistake("data_directory: %v", err)
	} else {
		s.DataDirectory = path
	}
	if err := checkRetention(s.Retention); err != nil {
		mistake("retention %q: %v", s.Retention, err)
	}
	if s.MemoryPercent < 1 || s.MemoryPercent > 90 {
		mistake("memory_percent %v: must be between 1 and 90, for example 20", s.MemoryPercent)
	}
	if len(mistakes) > 0 {
		return s, sdk.Permanent(fmt.Errorf("configuration of %q: %s", c.Name, strings.Join(mistakes, "; ")))
	}
	return s, nil
}

// checkRetention refuses a number without a unit too, which VictoriaMetrics would take for months.
func checkRetention(text string) error {
	if _, err := strconv.ParseFloat(text, 64); err == nil || text == "" {
		return errors.New("has no unit; write for example 30d, 12w or 1y")
	}
	var retention flagutil.RetentionDuration
	if err := retention.Set(text); err != nil {
		return fmt.Errorf("%w; write for example 30d, 12w or 1y", err)
	}
	if retention.Duration() < 24*time.Hour {
		return errors.New("must be at least 1d")
	}
	return nil
}

// SetFlags sets flags of the database, those of the settings besides, as if they were on the command line, which a plugin
// does not have.
func (s Settings) SetFlags(database string, flags map[string]string) error {
	all := map[string]string{
		"storageDataPath":       s.DataDirectory,
		"retentionPeriod":       s.Retention,
		"memory.allowedPercent": strconv.FormatFloat(s.MemoryPercent, 'g', -1, 64),
		// A web page from elsewhere has no business here.
		"http.disableCORS":        "true",
		"loggerLevel":             "WARN",
		"loggerDisableTimestamps": "true",
	}
	for name, value := range flags {
		all[name] = value
	}
	for name, value := range all {
		if err := flag.Set(name, value); err != nil {
			return fmt.Errorf("%s flag %s=%s: %w", database, name, value, err)
		}
	}
	// They refuse to start before the flags are parsed.
	return flag.CommandLine.Parse(nil)
}

// lockDirectory creates the directory if need be and takes it for this process until the file is closed.
// The lock goes away with the process, so that only its being held is worth another try. A database of its own on the same
// data is refused too.
func lockDirectory(path, database string) (*os.File, error) {
	const cure = "give the gateway's user the right to write there, or set data_directory to another directory"
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, sdk.Permanent(fmt.Errorf("data_directory %q cannot be created: %w; %s", path, err, cure))
	}
	file, err := lockFile(filepath.Join(path, "plugin.lock"))
	if err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data_directory %q is in use by another process; stop that one, or set data_directory to another directory", path)
		}
		return nil, sdk.Permanent(fmt.Errorf("data_directory %q cannot be written: %w; %s", path, err, cure))
	}
	// A database of its own on the same data holds this lock; ours takes it again when it starts.
	theirs, err := lockFile(filepath.Join(path, fs.FlockFilename))
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("data_directory %q is in use by a running %s; stop it, or set data_directory to another directory", path, database)
	}
	return file, theirs.Close()
}

func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
