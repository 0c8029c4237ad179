package failover

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEventsInMemory(t *testing.T) {
	e := newEvents([]Event{{What: "past"}})
	more, count, changed := e.after(0)
	require.Equal(t, []Event{{What: "past"}}, more)
	e.add(nil)
	select {
	case <-changed:
		t.Fatal("nothing has changed")
	default:
	}
	e.add([]Event{{What: "one"}, {What: "two"}})
	<-changed
	more, count, _ = e.after(count)
	require.Equal(t, []Event{{What: "one"}, {What: "two"}}, more)
	more, _, _ = e.after(count)
	require.Empty(t, more)
	// A reader that is too late gets what there still is.
	for i := range 3 * mostEvents {
		e.add([]Event{{What: fmt.Sprint(i)}})
	}
	more, _, _ = e.after(count)
	require.Len(t, more, mostEvents)
	require.Equal(t, fmt.Sprint(3*mostEvents-1), more[mostEvents-1].What)
}

func TestAuditRotates(t *testing.T) {
	directory := t.TempDir()
	line := []byte(`{"what":"` + strings.Repeat("x", 1<<20) + "\"}\n")
	for range 65 {
		require.NoError(t, appendAudit(directory, line))
	}
	found, err := filepath.Glob(filepath.Join(directory, "*"))
	require.NoError(t, err)
	require.Len(t, found, auditFiles)
	for _, path := range found {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(auditBytes))
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Zero(t, len(data)%len(line), "only whole lines")
	}
}

// A line that a crash cut in half costs only itself.
func TestAuditAfterACrash(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, auditFile)
	require.NoError(t, os.WriteFile(path+".1", []byte(`{"what":"one"}`+"\n"), 0o600))
	require.NoError(t, os.WriteFile(path, []byte(`{"what":"two"}`+"\n"+`{"what":"thr`), 0o600))
	require.NoError(t, appendAudit(directory, []byte(`{"what":"four"}`+"\n")))
	require.Equal(t, []Event{{What: "one"}, {What: "two"}, {What: "four"}}, readAudit(directory))
}

func TestAuditOfALargeFile(t *testing.T) {
	directory := t.TempDir()
	var lines strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&lines, `{"what":"%d"}`+"\n", i)
	}
	require.NoError(t, os.WriteFile(filepath.Join(directory, auditFile), []byte(lines.String()), 0o600))
	past := readAudit(directory)
	require.Len(t, past, mostEvents)
	require.Equal(t, "99999", past[mostEvents-1].What)
}

func TestSelection(t *testing.T) {
	now := time.Now()
	events := []Event{
		{At: now.Add(-time.Hour), Kind: "ejected", Subject: "machine/a", What: "1"},
		{At: now.Add(-time.Minute), Kind: "ejected", Subject: "machine/b", What: "2"},
		{At: now, Kind: "weights", What: "3"},
	}
	f := func(query, want string) {
		t.Helper()
		s, err := parseSelection(values(t, query), now)
		require.NoError(t, err)
		got := ""
		for _, e := range s.last(events, s.limit) {
			got += e.What
		}
		require.Equal(t, want, got)
	}
	f("", "123")
	f("since=30m", "23")
	f("since="+now.Add(-time.Second).UTC().Format(time.RFC3339), "3")
	f("subject=machine/", "12")
	f("kind=weights", "3")
	f("limit=1", "3")
	f("limit=0", "")
	f("limit=1&kind=ejected", "2")
	bad := func(query, want string) {
		t.Helper()
		_, err := parseSelection(values(t, query), now)
		require.ErrorContains(t, err, want)
	}
	bad("since=yesterday", "since: ")
	bad("since=-5m", "since: ")
	bad("limit=-1", "limit: ")
	bad("limit=100000", "limit: ")
	bad("follow=maybe", "follow: ")
}

func values(t *testing.T, query string) url.Values {
	t.Helper()
	v, err := url.ParseQuery(query)
	require.NoError(t, err)
	return v
}
