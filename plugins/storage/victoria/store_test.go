package victoria

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestFullWALRefusesRequestsForNow(t *testing.T) {
	w := newTestLog(t, t.TempDir())
	mustAppend(t, w, "x")
	full := new(metrics.Counter)
	s := &Store{log: w, limit: 1, counters: counters{full: full}}
	if err := s.Write(OTLP, nil); err == nil || sdk.IsPermanent(err) {
		t.Errorf("got %v, want an error that can be retried", err)
	}
	if full.Get() != 1 {
		t.Errorf("counted %d", full.Get())
	}
}

func TestCheckpointKeepsTheLogWithoutProof(t *testing.T) {
	f := func(proofs []bool, err error, paused, failed uint64, left bool) {
		t.Helper()
		w := newTestLog(t, t.TempDir())
		mustAppend(t, w, "x")
		s := &Store{log: w, counters: counters{checkpoints: new(metrics.Counter), paused: new(metrics.Counter), failed: new(metrics.Counter)}}
		asked := 0
		s.Flushed = func(int) (bool, error) {
			asked++
			if free := s.gate.TryRLock(); free != (asked == 1) {
				t.Errorf("flush %d: writes are let through: %v", asked, free)
			} else if free {
				s.gate.RUnlock()
			}
			return proofs[asked-1], err
		}
		s.checkpoint()
		if s.checkpoints.Get() != 1 || s.paused.Get() != paused || s.failed.Get() != failed || (w.Bytes() > 0) != left {
			t.Errorf("%v, %v: paused %d, failed %d, %d bytes left", proofs, err, s.paused.Get(), s.failed.Get(), w.Bytes())
		}
	}
	// proven at once
	f([]bool{true}, nil, 0, 0, false)
	// proven only with writes held back
	f([]bool{false, true}, nil, 1, 0, false)
	// not proven
	f([]bool{false, false}, nil, 1, 1, true)
	// the database cannot
	f([]bool{false}, errors.New("no snapshot"), 0, 1, true)
}

// A segment that cannot be read hides none of the others, takes no room of the log's, and stays for the next start.
func TestUnreadableSegmentIsSetAside(t *testing.T) {
	directory := t.TempDir()
	w := newTestLog(t, directory)
	mustAppend(t, w, "before")
	w.rotate()
	unreadable := filepath.Join(directory, "0000000000000002.wal") // no file: it is opened, and then not read
	if err := os.Mkdir(unreadable, 0o700); err != nil {
		t.Fatal(err)
	}
	w.next++
	mustAppend(t, w, "after")

	again := newTestLog(t, directory)
	var inserted []string
	s := &Store{log: again, replayed: make(chan struct{}), counters: counters{replays: new(metrics.Counter), unread: new(metrics.Counter)}, Database: Database{
		Insert: func(_ Kind, body []byte) error {
			inserted = append(inserted, string(body))
			return nil
		},
		Show: func() {},
	}}
	s.replay(t.Context(), again.leftover)
	if !slices.Equal(inserted, []string{"before", "after"}) || s.unread.Get() != 1 {
		t.Errorf("inserted %q, %d counted", inserted, s.unread.Get())
	}
	if want := int64(2*(recordHeader+1) + len("before") + len("after")); again.Bytes() != want {
		t.Errorf("%d bytes, want %d", again.Bytes(), want)
	}
	if err := again.remove(again.rotate()); err != nil || again.Bytes() != 0 {
		t.Errorf("%d bytes, %v", again.Bytes(), err)
	}
	if left := newTestLog(t, directory).leftover; len(left) != 1 || left[0].path != unreadable {
		t.Errorf("left: %v", left)
	}
}

// The log keeps OTLP compressed. What a segment holds in that form is not trusted.
func TestPackedRequestIsReadAgain(t *testing.T) {
	w := newTestLog(t, t.TempDir())
	s := &Store{log: w}
	body := bytes.Repeat([]byte("the same again and again, "), 1000)
	for range 2 {
		if err := s.keep(OTLP, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.keep(RemoteWrite, []byte("as it is")); err != nil {
		t.Fatal(err)
	}
	if packed := w.Bytes() / 2; packed > int64(len(body))/8 {
		t.Errorf("%d bytes of %d", packed, len(body))
	}
	records, unread := readAll(t, w.rotate())
	if len(records) != 3 || unread != 0 || records[2] != (record{RemoteWrite, "as it is"}) {
		t.Fatalf("%d records, %d bytes unread", len(records), unread)
	}
	for _, r := range records[:2] {
		if got, err := unpack([]byte(r.body)); r.kind != packedOTLP || err != nil || !bytes.Equal(got, body) {
			t.Errorf("kind %d: %d bytes, %v", r.kind, len(got), err)
		}
	}
	// not compressed; cut off; more than a request can have
	for _, pack := range []string{"", "\xff", records[0].body[:100], string(binary.AppendUvarint(nil, sdk.MaxMessageBytes+1))} {
		if _, err := unpack([]byte(pack)); !sdk.IsPermanent(err) {
			t.Errorf("%d bytes: %v", len(pack), err)
		}
	}
}
