package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// wal is the write-ahead log: the requests that VictoriaMetrics may still hold in memory only. A record reaches
// the kernel before its request is acknowledged, so it survives the death of the process by any signal. It is
// not synced to the disk: the death of the machine may take it.
//
// A segment is a file of records: length (4 bytes, little endian; of kind and body), CRC-32C of kind and body
// (4 bytes), kind (1 byte), body. Segments are written one after the other and deleted whole.
type wal struct {
	directory string

	mu      sync.Mutex
	file    *os.File // the segment being written, nil until the next append
	current segment
	sealed  []segment // complete, in no order
	next    uint64    // number of the next segment
	size    int64     // of all segments that exist
}

// segment is one file of the log.
type segment struct {
	path string
	size int64
}

// recordKind says what the body of a record is.
type recordKind byte

const (
	recordOTLP        recordKind = 1 // ExportMetricsServiceRequest
	recordRemoteWrite recordKind = 2 // compressed Prometheus remote write
	recordPackedOTLP  recordKind = 3 // recordOTLP compressed by snappy
)

const (
	recordHeader = 8
	maxRecord    = 2 * sdk.MaxMessageBytes // compression makes a little more of what it cannot make less
)

// openWAL creates the directory if need be. It returns the segments that an earlier process left, oldest first.
func openWAL(directory string) (*wal, []segment, error) {
	if err := os.MkdirAll(directory, 0o750); err != nil {
		return nil, nil, err
	}
	paths, err := filepath.Glob(filepath.Join(directory, "*.wal"))
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(paths)
	w := &wal{directory: directory, next: 1}
	var leftover []segment
	for _, path := range paths {
		stat, err := os.Stat(path)
		if err != nil {
			return nil, nil, err
		}
		var number uint64
		if _, err := fmt.Sscanf(filepath.Base(path), "%d.wal", &number); err != nil {
			return nil, nil, fmt.Errorf("%q is not a segment of the write-ahead log; move it away", path)
		}
		leftover = append(leftover, segment{path, stat.Size()})
		w.next = number + 1
		w.size += stat.Size()
	}
	return w, leftover, nil
}

// append writes one record. When it fails, the record is not in the log, or is the torn end of a segment.
func (w *wal) append(kind recordKind, body []byte) error {
	header := make([]byte, recordHeader+1)
	header[recordHeader] = byte(kind)
	binary.LittleEndian.PutUint32(header, uint32(1+len(body)))
	binary.LittleEndian.PutUint32(header[4:], checksum(header[recordHeader:], body))

	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.create(); err != nil {
		return fmt.Errorf("write-ahead log: %w", err)
	}
	for _, part := range [][]byte{header, body} {
		n, err := w.file.Write(part)
		w.current.size += int64(n)
		w.size += int64(n)
		if err != nil {
			w.seal()
			return fmt.Errorf("write-ahead log: %w", err)
		}
	}
	return nil
}

// create opens the next segment unless one is open.
func (w *wal) create() error {
	if w.file != nil {
		return nil
	}
	path := filepath.Join(w.directory, fmt.Sprintf("%016d.wal", w.next))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	w.file, w.current = file, segment{path: path}
	w.next++
	return nil
}

// seal closes the segment being written: the next record begins another.
func (w *wal) seal() {
	if w.file == nil {
		return
	}
	_ = w.file.Close()
	w.sealed = append(w.sealed, w.current)
	w.file = nil
}

// rotate seals the segment being written and returns all that are sealed.
func (w *wal) rotate() []segment {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seal()
	return slices.Clone(w.sealed)
}

// adopt takes over segments that an earlier process left, once they were replayed.
func (w *wal) adopt(segments []segment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed = append(w.sealed, segments...)
}

// remove deletes sealed segments. One that cannot be deleted stays sealed.
func (w *wal) remove(segments []segment) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var failed error
	for _, s := range segments {
		i := slices.Index(w.sealed, s)
		if i < 0 {
			continue
		}
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = err
			continue
		}
		w.size -= s.size
		w.sealed = slices.Delete(w.sealed, i, i+1)
	}
	return failed
}

// bytes is the size of all segments, those that an earlier process left included.
func (w *wal) bytes() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

// readSegment calls each with every record, in order; body is valid until each returns. It stops without an
// error at the first record that is not whole, which is where a process was killed in the middle of a write,
// and tells how many bytes it left unread.
func readSegment(path string, each func(kind recordKind, body []byte) error) (unread int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return readRecords(bufio.NewReaderSize(file, 1<<20), stat.Size(), each)
}

func readRecords(from io.Reader, left int64, each func(kind recordKind, body []byte) error) (int64, error) {
	var header [recordHeader]byte
	var record []byte
	for left > 0 {
		if _, err := io.ReadFull(from, header[:]); err != nil {
			return left, torn(err)
		}
		length := int64(binary.LittleEndian.Uint32(header[:]))
		if length < 1 || length > maxRecord || length > left-recordHeader {
			return left, nil
		}
		record = slices.Grow(record[:0], int(length))[:length]
		if _, err := io.ReadFull(from, record); err != nil {
			return left, torn(err)
		}
		if checksum(record, nil) != binary.LittleEndian.Uint32(header[4:]) {
			return left, nil
		}
		if err := each(recordKind(record[0]), record[1:]); err != nil {
			return left, err
		}
		left -= recordHeader + length
	}
	return 0, nil
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func checksum(a, b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(0, table, a), table, b)
}
