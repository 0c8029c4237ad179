package failover

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	stateFile   = "state.json"
	stateFormat = 2      // 1 had nothing shared
	newSuffix   = ".new" // of a file that is being written
)

// state is what outlives the gateway.
type state struct {
	Decision Decision        `json:"decision"`
	Holds    []Hold          `json:"holds,omitempty"`
	Plan     json.RawMessage `json:"plan,omitempty"`   // as it was: it goes on changing
	Shared   []*entry        `json:"shared,omitempty"` // with other gateways
	Clock    int64           `json:"clock,omitempty"`  // of theirs, in nanoseconds since 1970

	plan *Plan // that was read
}

// envelope is the file: the checksum is of the state's compact JSON.
type envelope struct {
	Format int             `json:"format"`
	SHA256 string          `json:"sha256"`
	State  json.RawMessage `json:"state"`
}

func encodeState(s *state) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return json.Marshal(envelope{Format: stateFormat, SHA256: hex.EncodeToString(sum[:]), State: text})
}

// decodeState takes what encodeState made, and nothing else.
func decodeState(data []byte) (*state, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("it is not whole: %w", err)
	}
	if e.Format < 1 || e.Format > stateFormat {
		return nil, fmt.Errorf("it has format %d, this gateway reads up to %d: was it written by another version?", e.Format, stateFormat)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, e.State); err != nil {
		return nil, fmt.Errorf("it is not whole: %w", err)
	}
	if sum := sha256.Sum256(text.Bytes()); e.SHA256 != hex.EncodeToString(sum[:]) {
		return nil, errors.New("its checksum is wrong")
	}
	var s state
	if err := json.Unmarshal(e.State, &s); err != nil {
		return nil, fmt.Errorf("its checksum is right, and its content is not: %w", err)
	}
	if s.Plan != nil {
		if err := json.Unmarshal(s.Plan, &s.plan); err != nil {
			return nil, fmt.Errorf("its checksum is right, and its shift plan is not: %w", err)
		}
	}
	return &s, nil
}

// loadState reads what the last gateway left; nil when there is nothing. What cannot be read is put aside under a name that says when, so
// that the start is safe (nothing is taken out) and nothing is lost: problem says what was wrong with it.
func loadState(directory string, now time.Time) (s *state, problem error) {
	path := filepath.Join(directory, stateFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		if s, err = decodeState(data); err == nil {
			s.resume(now)
			return s, nil
		}
	}
	aside := path + ".unreadable-" + now.UTC().Format("20060102T150405.000Z")
	if renamed := os.Rename(path, aside); renamed != nil {
		return nil, fmt.Errorf("%s: %w; it cannot be put aside either: %w", path, err, renamed)
	}
	return nil, fmt.Errorf("%s: %w; it is kept as %s", path, err, aside)
}

// putAside lists the states that could not be read and that nobody has removed since.
func putAside(directory string) []string {
	found, _ := filepath.Glob(filepath.Join(directory, stateFile+".unreadable-*")) // the pattern is right
	return found
}

// resume makes a state that was loaded fit to go on from. Ejections are provisional. Times are made anew from now, so that a clock which is
// set from here on changes nothing; of a clock that was set meanwhile no hold gets longer than it was made for, and nothing
// happened in the future.
func (s *state) resume(now time.Time) {
	wall := now.Round(0)
	past := func(t time.Time) time.Time {
		if age := wall.Sub(t); !t.IsZero() && age > 0 {
			return now.Add(-age)
		} else if !t.IsZero() {
			return now
		}
		return t
	}
	s.Holds = slices.DeleteFunc(s.Holds, func(h Hold) bool { return !h.Until.After(wall) })
	for i := range s.Holds {
		h := &s.Holds[i]
		h.Until = now.Add(min(h.Until.Sub(wall), h.Until.Sub(h.At)))
		h.At = past(h.At)
	}
	d := Loaded(s.Decision)
	for name, v := range d.Verdict {
		v.Since, v.Hold = past(v.Since), time.Time{}
		d.Verdict[name] = v
	}
	for name, f := range d.Frozen {
		f.Since = past(f.Since)
		d.Frozen[name] = f
	}
	for name, out := range d.Serving.Out {
		out.Since = past(out.Since)
		d.Serving.Out[name] = out
	}
	for _, times := range append(slices.Collect(maps.Values(d.Falls)), d.Ejected) {
		for i := range times {
			times[i] = past(times[i])
		}
	}
	for name, at := range d.Returned {
		d.Returned[name] = past(at)
	}
	d.Release, d.Next = nil, time.Time{} // they begin anew
	d.At, d.Serving.At, d.Would.At = past(d.At), past(d.Serving.At), past(d.Would.At)
	// The last version may not have come to the disk.
	d.Serving.Version = max(d.Serving.Version+1, uint64(max(now.UnixMilli(), 0)))
	d.Would.Version = d.Serving.Version
	s.Decision = d
}

// writeWhole replaces a file: whoever reads it finds the old one or the new one, also after the machine has died.
func writeWhole(path string, data []byte) error {
	file, err := os.OpenFile(path+newSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
