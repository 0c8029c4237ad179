package alerting

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memory is what a journal of a test is about.
type memory struct {
	mu       sync.Mutex
	records  []byte
	failing  atomic.Bool // its snapshots
	rewrites atomic.Int64
	failures atomic.Int64
}

func (m *memory) snapshot(w io.Writer) (int64, error) {
	if m.failing.Load() {
		return 0, errors.New("the disk is full")
	}
	m.rewrites.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := w.Write(m.records)
	return int64(n), err
}

func (m *memory) add(j *journal, record string) {
	m.mu.Lock()
	m.records = append(append(m.records, byte(len(record))), record...)
	m.mu.Unlock()
	j.appendRecord([]byte(record))
}

func openTestJournal(t *testing.T, m *memory) *journal {
	t.Helper()
	j, err := openJournal(filepath.Join(t.TempDir(), "journal"), m.snapshot, func(error) { m.failures.Add(1) })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		require.Error(t, func() error { m.add(j, "late"); return j.sync(context.Background()) }(), "nobody writes any more")
	})
	return j
}

// What sync has returned for is in the file, however many wait.
func TestJournal(t *testing.T) {
	var m memory
	j := openTestJournal(t, &m)
	require.NoError(t, j.sync(t.Context()), "nothing to wait for")
	const writers = 10_000
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			m.add(j, "record")
			if err := j.sync(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	began := time.Now()
	all.Wait()
	t.Logf("%d records in %s", writers, time.Since(began))
	records, damaged, err := readJournal(j.path)
	require.NoError(t, err)
	require.False(t, damaged)
	require.Equal(t, m.records, records)
}

// A write that failed is an error for those who wait, and is made good when the disk works again.
func TestJournalHeals(t *testing.T) {
	var m memory
	j := openTestJournal(t, &m)
	m.failing.Store(true)
	j.mu.Lock() // the writer is not in the middle of something
	require.NoError(t, j.file.Close())
	j.mu.Unlock()
	m.add(j, "one")
	require.ErrorContains(t, j.sync(t.Context()), "write "+j.path)
	require.ErrorContains(t, j.sync(t.Context()), "the disk is full")
	m.failing.Store(false)
	m.add(j, "two")
	require.NoError(t, j.sync(t.Context()))
	records, _, err := readJournal(j.path)
	require.NoError(t, err)
	require.Equal(t, "\x03one\x03two", string(records))
	require.GreaterOrEqual(t, m.failures.Load(), int64(2))
}

// What is replaced again and again does not make the file grow for ever.
func TestJournalIsRewritten(t *testing.T) {
	var m memory
	j := openTestJournal(t, &m)
	record := bytes.Repeat([]byte("x"), 100_000)
	for range 100 {
		j.appendRecord(record)
		require.NoError(t, j.sync(t.Context()))
	}
	info, err := os.Stat(j.path)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(2*journalSmall))
	require.Greater(t, m.rewrites.Load(), int64(5))
}

func TestReadJournal(t *testing.T) {
	f := func(content, want string, wantDamaged bool) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		records, damaged, err := readJournal(path)
		require.NoError(t, err)
		require.Equal(t, want, string(records))
		require.Equal(t, wantDamaged, damaged)
		kept, err := os.ReadFile(path + ".damaged")
		if wantDamaged {
			require.NoError(t, err)
			require.Equal(t, content, string(kept))
		}
	}
	f("", "", false)
	f("\x01a\x02bc", "\x01a\x02bc", false)
	// killed in the middle of a write
	f("\x01a\x02b", "\x01a", true)
	f("\x01a\x80", "\x01a", true)
	// a machine that lost power leaves zeros
	f("\x01a\x00\x00\x00", "\x01a", true)
	// a length beyond all measure
	f("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "", true)
	records, damaged, err := readJournal(filepath.Join(t.TempDir(), "none"))
	require.NoError(t, err)
	require.Empty(t, records)
	require.False(t, damaged)
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x01a\x02bc"))
	f.Add([]byte("\x4d" + `{"alert":{"labels":{"a":"b"},"startsAt":"2026-01-02T03:04:05Z"},"source":"x"}`))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := data[:wholeRecords(data)]
		if again := wholeRecords(whole); again != len(whole) {
			t.Fatalf("%d bytes of records, then %d", len(whole), again)
		}
		if known, err := decodeAlerts(whole); err == nil {
			for _, r := range known {
				if err := r.Alert.Validate(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
