package alerting

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	damagedSuffix = ".damaged"

	journalRetry = time.Second // until what could not be written is tried again
	journalSmall = 1 << 20     // bytes below which a journal is never rewritten
	journalWaste = 4           // a journal is rewritten when it has grown to as many times what it was after the last time
)

// journal is a file of records, each behind its length, where a later record about something replaces an earlier one: what Alertmanager's
// own snapshots of silences and of the notification log are, too. What was appended is on disk when sync returns. One goroutine
// writes, so that any number of changes at once cost one fsync.
type journal struct {
	path     string
	snapshot func(io.Writer) (int64, error) // writes everything that still counts, including whatever was appended before
	failed   func(error)                    // is told of each write that did not work

	mu       sync.Mutex
	pending  []byte
	appended uint64 // records
	durable  uint64 // of which are on disk
	waiting  []waiter
	wake     chan struct{}
	closed   chan struct{}

	// The writer's own. A nil file is rewritten from a snapshot, which also heals whatever was wrong with it.
	file       *os.File
	size, lean int64 // now, and after it was last rewritten
}

type waiter struct {
	upTo uint64
	done chan error
}

// openJournal rewrites the file from a snapshot, so that a directory that cannot be written to is noticed at once.
func openJournal(path string, snapshot func(io.Writer) (int64, error), failed func(error)) (*journal, error) {
	j := &journal{path: path, snapshot: snapshot, failed: failed, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	return j, j.rewrite()
}

// readJournal gives the records of a file. What follows the last whole record was never acknowledged, or is damaged: it is
// left out, and the file kept as path.damaged. A file that is not there has no records.
func readJournal(path string) (records []byte, damaged bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	records = data[:wholeRecords(data)]
	if len(records) == len(data) {
		return records, false, nil
	}
	return records, true, os.WriteFile(path+damagedSuffix, data, 0o600)
}

// wholeRecords is how many bytes of data are records.
func wholeRecords(data []byte) int {
	end := 0
	for {
		length, size := binary.Uvarint(data[end:])
		if size <= 0 || length == 0 || length > uint64(len(data)-end-size) {
			return end
		}
		end += size + int(length)
	}
}

// eachRecord gives do each record, with its length before it and without.
func eachRecord(records []byte, do func(record, body []byte) error) error {
	for len(records) > 0 {
		length, size := binary.Uvarint(records)
		if size <= 0 || length > uint64(len(records)-size) {
			return errors.New("half a record")
		}
		end := size + int(length)
		if err := do(records[:end], records[size:end]); err != nil {
			return err
		}
		records = records[end:]
	}
	return nil
}

// append takes records as they are in the file. It does not block.
func (j *journal) append(records []byte) {
	j.mu.Lock()
	j.pending = append(j.pending, records...)
	j.appended++
	j.mu.Unlock()
	j.poke()
}

// appendRecord takes one record without its length.
func (j *journal) appendRecord(record []byte) {
	j.append(append(binary.AppendUvarint(nil, uint64(len(record))), record...))
}

func (j *journal) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// sync returns when everything appended so far is on disk, or says why it is not; it is tried again all the same.
func (j *journal) sync(ctx context.Context) error {
	j.mu.Lock()
	if j.durable == j.appended {
		j.mu.Unlock()
		return nil
	}
	w := waiter{j.appended, make(chan error, 1)}
	j.waiting = append(j.waiting, w)
	j.mu.Unlock()
	j.poke()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-j.closed:
		return errors.New("the gateway stops")
	}
}

// run writes until ctx ends, and then what is left.
func (j *journal) run(ctx context.Context) {
	for {
		var retry <-chan time.Time
		if j.file == nil {
			retry = time.After(journalRetry)
		}
		select {
		case <-ctx.Done():
			j.commit()
			close(j.closed)
			if j.file != nil {
				_ = j.file.Close()
			}
			return
		case <-j.wake:
		case <-retry:
		}
		j.commit()
	}
}

// commit brings what is pending to the disk and tells who waits for it.
func (j *journal) commit() {
	j.mu.Lock()
	records, upTo, waiting := j.pending, j.appended, j.waiting
	j.pending, j.waiting = nil, nil
	dirty := j.durable != upTo
	j.mu.Unlock()
	var err error
	if dirty {
		if err = j.write(records); err != nil {
			err = fmt.Errorf("write %s: %w", j.path, err)
			j.failed(err)
		} else {
			j.mu.Lock()
			j.durable = upTo
			j.mu.Unlock()
		}
	}
	for _, w := range waiting {
		w.done <- err
	}
}

func (j *journal) write(records []byte) error {
	if j.file == nil || (j.size > journalSmall && j.size > journalWaste*j.lean) {
		return j.rewrite()
	}
	n, err := j.file.Write(records)
	j.size += int64(n)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil { // the end of the file may be half a record
		_ = j.file.Close()
		j.file = nil
	}
	return err
}

// rewrite replaces the file by a snapshot: whoever reads it finds the old one or the new one.
func (j *journal) rewrite() error {
	if j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
	file, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	size, err := j.snapshot(file)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(file.Name(), j.path)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(j.path))
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	j.file, j.size, j.lean = file, size, size
	return nil
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}
