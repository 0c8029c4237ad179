package xds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	filesEvery = time.Second // how often files are looked at
	filesMost  = 64 << 20    // bytes of each
)

// files is the source of what files say. Listeners and routes are taken up each by themselves, the sources together. What has mistakes changes nothing. Files are read as a whole each
// time: those behind links, as Kubernetes mounts them, and those of network file systems change without a word.
type files struct {
	log    *zap.Logger
	guard  guard
	all    []*file
	failed atomic.Int64 // times that new mistakes were found

	sources  []*sourceFile // each without mistakes of its own
	unjoined bool          // one of them is new
	problem  string        // with all of them together
	content  Content       // at work
}

// file is one that is followed.
type file struct {
	key, name string
	take      func(name string, text []byte) error // takes up a text without mistakes, and nothing of one with mistakes

	seen    []byte // good or bad
	problem string // with it, now
}

// openFiles reads the files of a configuration. An error has all mistakes of all of them.
func openFiles(c *Config, log *zap.Logger) (*files, error) {
	f := &files{log: log, sources: make([]*sourceFile, len(c.Sources))}
	add := func(key, name string, take func(string, []byte) error) {
		if name != "" {
			f.all = append(f.all, &file{key: key, name: name, take: take})
		}
	}
	for i, source := range c.Sources {
		add(fmt.Sprintf("sources::%d::file", i), source.File, func(name string, text []byte) (err error) {
			parsed, err := parseSource(name, text)
			if err == nil {
				f.sources[i], f.unjoined = parsed, true
			}
			return err
		})
	}
	add("listeners", c.Listeners, func(name string, text []byte) error {
		listeners, err := parseListeners(name, text)
		if err == nil {
			f.content.Listeners = listeners
		}
		return err
	})
	add("routes", c.Routes, func(name string, text []byte) error {
		routes, err := parseRoutes(name, text)
		if err == nil {
			f.content.Routes = routes
		}
		return err
	})
	var errs []error
	for _, one := range f.all {
		if _, err := one.load(&f.guard); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", one.key, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return f, f.guard.do(f.join)
}

// join makes clusters out of all sources.
func (f *files) join() error {
	f.unjoined = false
	clusters, err := joinSources(f.sources)
	if err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	f.content.Clusters = clusters
	return nil
}

// now is what is at work.
func (f *files) now() *Content {
	content := f.content
	return &content
}

// Run implements source.
func (f *files) Run(ctx context.Context, apply func(*Content)) error {
	apply(f.now())
	tick := time.NewTicker(filesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if f.look() {
			apply(f.now())
		}
	}
}

// look tells whether there is anything new to serve.
func (f *files) look() bool {
	var changed bool
	for _, one := range f.all {
		was := one.problem
		took, err := one.load(&f.guard)
		changed = changed || took
		if one.problem = words(err); one.problem != "" && one.problem != was {
			f.refuse(one.key, err)
		}
	}
	if f.unjoined {
		err := f.guard.do(f.join)
		if problem := words(err); problem != f.problem {
			f.problem = problem
			if err != nil {
				f.refuse("sources", err)
			}
		}
	}
	return changed
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (f *files) refuse(key string, err error) {
	f.failed.Add(1)
	f.log.Error("A file has mistakes: the last good one stays at work", zap.String("key", "xds::"+key), zap.Error(err))
}

// load takes up the file if it has changed. Of a bad one that has not changed it says again what is wrong.
func (f *file) load(g *guard) (took bool, err error) {
	text, err := readAtMost(f.name, filesMost)
	if err != nil {
		f.seen = nil
		return false, err
	}
	if f.seen != nil && bytes.Equal(text, f.seen) {
		if f.problem != "" {
			return false, errors.New(f.problem)
		}
		return false, nil
	}
	f.seen = text
	err = g.do(func() error { return f.take(f.name, text) })
	return err == nil, err
}

// readAtMost reads a file, but no endless one.
func readAtMost(name string, most int64) ([]byte, error) {
	opened, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	text, err := io.ReadAll(io.LimitReader(opened, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s: has more than %d bytes", name, most)
	}
	return append([]byte{}, text...), nil
}
