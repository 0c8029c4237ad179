package victoria

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

// Log is the write-ahead log: the requests that the database may still hold in memory only. A record reaches
// the kernel before its request is acknowledged, so it survives the death of the process by any signal. It is
// not synced to the disk: the death of the machine may take it.
//
// A segment is a file of records: length (4 bytes, little endian; of kind and body), CRC-32C of kind and body
// (4 bytes), kind (1 byte), body. Segments are written one after the other and deleted whole.
type Log struct {
	directory string

	mu      sync.Mutex
	file    *os.File // the segment being written, nil until the next append
	current segment
	sealed  []segment // complete, in no order
	next    uint64    // number of the next segment
	size    int64     // of all segments that exist

	leftover []segment // that an earlier process left, oldest first
}

// segment is one file of the log.
type segment struct {
	path string
	size int64
}

// Kind says what a request is.
type Kind byte

// Kinds of requests.
const (
	OTLP        Kind = 1 // ExportMetricsServiceRequest or ExportLogsServiceRequest
	RemoteWrite Kind = 2 // compressed Prometheus remote write
	packedOTLP  Kind = 3 // OTLP compressed by snappy, which only the log knows
)

const (
	recordHeader = 8
	maxRecord    = 2 * sdk.MaxMessageBytes // compression makes a little more of what it cannot make less
)

// OpenLog opens the log in a directory, which it creates if need be.
func OpenLog(directory string) (*Log, error) {
	if err := os.MkdirAll(directory, 0o750); err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(directory, "*.wal"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	l := &Log{directory: directory, next: 1}
	for _, path := range paths {
		stat, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		var number uint64
		if _, err := fmt.Sscanf(filepath.Base(path), "%d.wal", &number); err != nil {
			return nil, fmt.Errorf("%q is not a segment of the write-ahead log; move it away", path)
		}
		l.leftover = append(l.leftover, segment{path, stat.Size()})
		l.next = number + 1
		l.size += stat.Size()
	}
	return l, nil
}

// Append writes one record. When it fails, the record is not in the log, or is the torn end of a segment.
func (l *Log) Append(kind Kind, body []byte) error {
	header := make([]byte, recordHeader+1)
	header[recordHeader] = byte(kind)
	binary.LittleEndian.PutUint32(header, uint32(1+len(body)))
	binary.LittleEndian.PutUint32(header[4:], checksum(header[recordHeader:], body))

	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.create(); err != nil {
		return fmt.Errorf("write-ahead log: %w", err)
	}
	for _, part := range [][]byte{header, body} {
		n, err := l.file.Write(part)
		l.current.size += int64(n)
		l.size += int64(n)
		if err != nil {
			l.seal()
			return fmt.Errorf("write-ahead log: %w", err)
		}
	}
	return nil
}

// create opens the next segment unless one is open.
func (l *Log) create() error {
	if l.file != nil {
		return nil
	}
	path := filepath.Join(l.directory, fmt.Sprintf("%016d.wal", l.next))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	l.file, l.current = file, segment{path: path}
	l.next++
	return nil
}

// seal closes the segment being written: the next record begins another.
func (l *Log) seal() {
	if l.file == nil {
		return
	}
	_ = l.file.Close()
	l.sealed = append(l.sealed, l.current)
	l.file = nil
}

// rotate seals the segment being written and returns all that are sealed.
func (l *Log) rotate() []segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seal()
	return slices.Clone(l.sealed)
}

// adopt takes over segments that an earlier process left, once they were replayed.
func (l *Log) adopt(segments []segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = append(l.sealed, segments...)
}

// setAside leaves a segment of an earlier process where it is, and out of the log's size: what can never leave the log must not fill it.
func (l *Log) setAside(s segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size -= s.size
}

// remove deletes sealed segments. One that cannot be deleted stays sealed.
func (l *Log) remove(segments []segment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failed error
	for _, s := range segments {
		i := slices.Index(l.sealed, s)
		if i < 0 {
			continue
		}
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = err
			continue
		}
		l.size -= s.size
		l.sealed = slices.Delete(l.sealed, i, i+1)
	}
	return failed
}

// Bytes is the size of all segments, those that an earlier process left included unless they cannot be read.
func (l *Log) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// readSegment calls each with every record, in order; body is valid until each returns. It stops without an
// error at the first record that is not whole, which is where a process was killed in the middle of a write,
// and tells how many bytes it left unread.
func readSegment(path string, each func(kind Kind, body []byte) error) (unread int64, err error) {
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

func readRecords(from io.Reader, left int64, each func(kind Kind, body []byte) error) (int64, error) {
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
		if err := each(Kind(record[0]), record[1:]); err != nil {
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
