package failover

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

const (
	auditFile  = "audit.jsonl"
	auditBytes = 10 << 20 // of the file, until it is audit.jsonl.1
	auditFiles = 5        // in all
	auditTail  = 1 << 20  // bytes of each of the last two files that are read at the start

	mostEvents = 10_000 // in memory
)

// events are the last lines of the audit, in memory.
type events struct {
	mu      sync.Mutex
	last    []Event
	count   int           // all that ever were: the last of them is last[len(last)-1]
	changed chan struct{} // closed when there are more
}

func newEvents(past []Event) *events {
	return &events{last: past, count: len(past), changed: make(chan struct{})}
}

func (e *events) add(more []Event) {
	if len(more) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = append(e.last, more...)
	e.count += len(more)
	if over := len(e.last) - mostEvents; over > 0 {
		clear(e.last[:over])
		e.last = e.last[over:]
	}
	close(e.changed)
	e.changed = make(chan struct{})
}

// after gives the events that came after the first seen ones, as far as they are still there, how many there were ever, and what is closed
// when there are more.
func (e *events) after(seen int) (more []Event, count int, changed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := max(0, len(e.last)-(e.count-seen))
	return append(more, e.last[min(first, len(e.last)):]...), e.count, e.changed
}

// readAudit gives the last events that are on disk. Lines that are none are left out: the last one may be half of one.
func readAudit(directory string) (past []Event) {
	for _, name := range []string{auditFile + ".1", auditFile} {
		lines := bufio.NewScanner(bytes.NewReader(tail(filepath.Join(directory, name))))
		lines.Buffer(nil, auditTail)
		for lines.Scan() {
			var e Event
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.What != "" {
				past = append(past, e)
			}
		}
	}
	return past[max(0, len(past)-mostEvents):]
}

// tail is the last part of a file; nothing when there is none.
func tail(path string) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > auditTail {
		_, _ = file.Seek(-auditTail, io.SeekEnd) // else it is read from its beginning
	}
	data, _ := io.ReadAll(io.LimitReader(file, auditTail))
	return data
}

// appendAudit brings whole lines to the disk: one fsync for all of them. When the file is large enough it becomes audit.jsonl.1, that one
// audit.jsonl.2, and so on; the oldest goes.
func appendAudit(directory string, lines []byte) error {
	path := filepath.Join(directory, auditFile)
	if info, err := os.Stat(path); err == nil && info.Size()+int64(len(lines)) > auditBytes && info.Size() > 0 {
		if err := rotateAudit(path); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	before, err := file.Seek(0, io.SeekEnd)
	if err == nil && before > 0 { // what ended in the middle of a line must not spoil the next
		last := make([]byte, 1)
		if _, err := file.ReadAt(last, before-1); err == nil && last[0] != '\n' {
			lines = append([]byte{'\n'}, lines...)
		}
	}
	if err == nil {
		_, err = file.Write(lines)
	}
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		err = errors.Join(err, file.Truncate(before)) // they come again
	}
	return errors.Join(err, file.Close())
}

func rotateAudit(path string) error {
	for i := auditFiles - 2; i >= 0; i-- {
		from := fmt.Sprintf("%s.%d", path, i)
		if i == 0 {
			from = path
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", path, i+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
