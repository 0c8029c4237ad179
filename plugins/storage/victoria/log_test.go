package victoria

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/lockkeeper/lockkeeper/sdk"
)

type record struct {
	kind Kind
	body string
}

func readAll(t *testing.T, segments []segment) (records []record, unread int64) {
	t.Helper()
	for _, s := range segments {
		left, err := readSegment(s.path, func(kind Kind, body []byte) error {
			records = append(records, record{kind, string(body)})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		unread += left
	}
	return records, unread
}

func newTestLog(t *testing.T, directory string) *Log {
	t.Helper()
	l, err := OpenLog(directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.rotate() })
	return l
}

func mustAppend(t *testing.T, w *Log, body string) {
	t.Helper()
	if err := w.Append(OTLP, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func TestWALKeepsRecordsInOrderAcrossProcesses(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "wal")
	w := newTestLog(t, directory)
	if len(w.leftover) != 0 || w.Bytes() != 0 {
		t.Fatalf("a new log has %v", w.leftover)
	}
	mustAppend(t, w, "one")
	mustAppend(t, w, "")
	w.rotate()
	if err := w.Append(RemoteWrite, bytes.Repeat([]byte{7}, 1<<20)); err != nil {
		t.Fatal(err)
	}

	again := newTestLog(t, directory) // as after a kill: nothing was closed
	if again.Bytes() != w.Bytes() {
		t.Errorf("%d bytes, want %d", again.Bytes(), w.Bytes())
	}
	mustAppend(t, again, "later")
	records, unread := readAll(t, append(again.leftover, again.rotate()...))
	want := []record{{OTLP, "one"}, {OTLP, ""}, {RemoteWrite, string(bytes.Repeat([]byte{7}, 1<<20))}, {OTLP, "later"}}
	if fmt.Sprint(records) != fmt.Sprint(want) || unread != 0 {
		t.Errorf("got %d records, %d bytes unread", len(records), unread)
	}
}

func TestWALForgetsOnlyWhatIsRemoved(t *testing.T) {
	directory := t.TempDir()
	w := newTestLog(t, directory)
	mustAppend(t, w, "old")
	old := w.rotate()
	mustAppend(t, w, "new")
	if err := w.remove(old); err != nil {
		t.Fatal(err)
	}
	if err := w.remove(old); err != nil {
		t.Errorf("removed twice: %v", err)
	}
	leftover := newTestLog(t, directory).leftover
	if records, _ := readAll(t, leftover); len(records) != 1 || records[0].body != "new" {
		t.Errorf("left: %v", records)
	}
	if want := int64(recordHeader + 1 + len("new")); w.Bytes() != want {
		t.Errorf("%d bytes, want %d", w.Bytes(), want)
	}
}

// A process that is killed while it writes leaves a torn record: all before it are read.
func TestWALTornAtEveryByte(t *testing.T) {
	w := newTestLog(t, t.TempDir())
	for _, body := range []string{"first", "second", "third"} {
		mustAppend(t, w, body)
	}
	segments := w.rotate()
	whole, err := os.ReadFile(segments[0].path)
	if err != nil {
		t.Fatal(err)
	}
	for size := range len(whole) {
		torn := segment{path: filepath.Join(t.TempDir(), "torn.wal")}
		if err := os.WriteFile(torn.path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		records, unread := readAll(t, []segment{torn})
		complete, end := 0, 0
		for _, body := range []string{"first", "second", "third"} {
			if end+recordHeader+1+len(body) > size {
				break
			}
			end += recordHeader + 1 + len(body)
			complete++
		}
		if len(records) != complete || unread != int64(size-end) {
			t.Fatalf("%d of %d bytes: %d records, %d unread, want %d, %d", size, len(whole), len(records), unread, complete, size-end)
		}
	}
}

func TestWALDamagedRecordEndsTheSegment(t *testing.T) {
	w := newTestLog(t, t.TempDir())
	mustAppend(t, w, "first")
	mustAppend(t, w, "second")
	segments := w.rotate()
	whole, err := os.ReadFile(segments[0].path)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)-1] ^= 1
	if err := os.WriteFile(segments[0].path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if records, unread := readAll(t, segments); len(records) != 1 || unread != recordHeader+1+int64(len("second")) {
		t.Errorf("%d records, %d bytes unread", len(records), unread)
	}
}

// After a write that failed the log goes on in another segment, so that the torn record hides nothing.
func TestWALGoesOnAfterAFailedWrite(t *testing.T) {
	w := newTestLog(t, t.TempDir())
	mustAppend(t, w, "before")
	_ = w.file.Close()
	if err := w.Append(OTLP, []byte("lost")); err == nil || sdk.IsPermanent(err) {
		t.Fatalf("got %v, want an error that can be retried", err)
	}
	mustAppend(t, w, "after")
	records, _ := readAll(t, w.rotate())
	if fmt.Sprint(records) != fmt.Sprint([]record{{OTLP, "before"}, {OTLP, "after"}}) {
		t.Errorf("got %v", records)
	}
}

func TestWALRefusesAStrangeFile(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "notes.wal")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(directory); err == nil || !bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("got %v, want the path", err)
	}
}

// FuzzReadRecords: whatever a segment holds, reading it ends without a panic, and what is read was written so.
func FuzzReadRecords(f *testing.F) {
	f.Add([]byte{}, []byte("a"))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{})
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0, 1}, []byte("tail"))
	f.Fuzz(func(t *testing.T, segment, body []byte) {
		read := 0
		unread, err := readRecords(bytes.NewReader(segment), int64(len(segment)), func(_ Kind, body []byte) error {
			read += recordHeader + 1 + len(body)
			return nil
		})
		if err != nil || int64(read)+unread != int64(len(segment)) {
			t.Fatalf("read %d, unread %d of %d: %v", read, unread, len(segment), err)
		}
		w, err := OpenLog(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, w, string(body))
		if records, unread := readAll(t, w.rotate()); len(records) != 1 || records[0].body != string(body) || unread != 0 {
			t.Fatalf("wrote %q, read %q, %d unread", body, records, unread)
		}
	})
}
