package failover

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

// aState is one with everything in it.
func aState(now time.Time) *state {
	return &state{
		Decision: Decision{
			Serving: xds.Serving{Version: 7, At: now, Out: map[string]xds.Out{"machine/a": {Since: now, Why: "dead"}}, IDCs: map[string]xds.IDC{"idc1": {Entry: xds.Whole}}},
			Verdict: map[string]Verdict{
				"machine/a": {IDC: "idc1", Health: Dead, Since: now.Add(-time.Minute), Why: "3 of 3: <timeout>", Out: true, Down: true},
				"machine/b": {Health: Healthy, Since: now},
			},
			Ejected: []time.Time{now},
		},
		Holds: []Hold{{Subject: "machine/b", Action: Keep, By: "oncall", At: now, Until: now.Add(time.Hour)}},
	}
}

func writeState(t *testing.T, directory string, s *state) []byte {
	t.Helper()
	data, err := encodeState(s)
	require.NoError(t, err)
	require.NoError(t, writeWhole(filepath.Join(directory, stateFile), data))
	return data
}

func TestStateSurvives(t *testing.T) {
	directory, now := t.TempDir(), time.Now()
	writeState(t, directory, aState(now))
	s, err := loadState(directory, now.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, xds.Out{Since: now, Why: "dead"}.Why, s.Decision.Serving.Out["machine/a"].Why)
	require.True(t, s.Decision.Verdict["machine/a"].Provisional, "what was taken out before is to be confirmed")
	require.False(t, s.Decision.Verdict["machine/b"].Provisional)
	require.WithinDuration(t, now.Add(-time.Minute), s.Decision.Verdict["machine/a"].Since, time.Millisecond)
	require.WithinDuration(t, now.Add(time.Hour), s.Holds[0].Until, time.Millisecond)
	require.Greater(t, s.Decision.Serving.Version, uint64(7), "the last version may not have come to the disk")
}

// What a gateway left that knew of no others is taken as it is.
func TestStateOfFormat1(t *testing.T) {
	data, err := encodeState(aState(time.Now()))
	require.NoError(t, err)
	s, err := decodeState([]byte(strings.Replace(string(data), `"format":2`, `"format":1`, 1)))
	require.NoError(t, err)
	require.Len(t, s.Holds, 1)
	require.Empty(t, s.Shared)
}

func TestNoState(t *testing.T) {
	s, err := loadState(t.TempDir(), time.Now())
	require.NoError(t, err)
	require.Nil(t, s)
}

// Whatever is wrong with the file, it is kept under another name and nothing is taken from it.
func TestStateThatCannotBeRead(t *testing.T) {
	f := func(name, want string, change func(data string) string) {
		t.Helper()
		directory := t.TempDir()
		path := filepath.Join(directory, stateFile)
		bad := change(string(writeState(t, directory, aState(time.Now()))))
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
		s, err := loadState(directory, time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC))
		require.ErrorContains(t, err, want, name)
		require.Nil(t, s)
		require.NoFileExists(t, path)
		aside := putAside(directory)
		require.Equal(t, []string{path + ".unreadable-20260102T030405.006Z"}, aside)
		kept, err := os.ReadFile(aside[0])
		require.NoError(t, err)
		require.Equal(t, bad, string(kept))
	}
	f("empty", "not whole", func(string) string { return "" })
	f("cut", "not whole", func(data string) string { return data[:len(data)/2] })
	f("zeros", "not whole", func(data string) string { return strings.Repeat("\x00", len(data)) })
	f("a bit", "checksum is wrong", func(data string) string { return strings.Replace(data, "machine/a", "machine/c", 1) })
	f("newer", "format 3, this gateway reads up to 2", func(data string) string { return strings.Replace(data, `"format":2`, `"format":3`, 1) })
	f("another", "format 0", func(string) string { return `{"alerts":[]}` })
	f("a list", "not whole", func(string) string { return `[]` })
}

// A clock that is set while the gateway is down makes no hold longer than it was made for, and puts nothing into the future.
func TestClockIsSetWhileDown(t *testing.T) {
	f := func(jump, left time.Duration) {
		t.Helper()
		directory, now := t.TempDir(), time.Now()
		writeState(t, directory, aState(now))
		then := now.Add(jump)
		s, err := loadState(directory, then)
		require.NoError(t, err)
		for name, v := range s.Decision.Verdict {
			require.False(t, v.Since.After(then), name)
		}
		require.False(t, s.Decision.Ejected[0].After(then))
		if left == 0 {
			require.Empty(t, s.Holds)
			return
		}
		require.Equal(t, left, s.Holds[0].Until.Sub(then).Round(time.Millisecond))
	}
	f(0, time.Hour)
	f(20*time.Minute, 40*time.Minute)
	f(time.Hour, 0)
	f(365*24*time.Hour, 0)
	f(-365*24*time.Hour, time.Hour)
}

// A write that fails leaves what was there.
func TestWriteIsWholeOrNothing(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, stateFile)
	require.NoError(t, writeWhole(path, []byte("old")))
	require.NoError(t, os.Mkdir(path+newSuffix, 0o700)) // nothing can be written there
	require.Error(t, writeWhole(path, []byte("new")))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(data))
	require.True(t, errors.Is(writeWhole(filepath.Join(directory, "none", "x"), nil), os.ErrNotExist))
}

// What is on disk may be anything; it is either taken as it was written, or not at all.
func FuzzState(f *testing.F) {
	now := time.Now()
	good, err := encodeState(aState(now))
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:len(good)-2])
	f.Add([]byte(`{"format":1,"sha256":"","state":{}}`))
	f.Add([]byte(`{"format":1,"state":null}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeState(data)
		if err != nil {
			return
		}
		s.resume(now)
		_, err = encodeState(s)
		require.NoError(t, err)
	})
}
