package failover

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
)

// badDisk fails or hangs as long as it is told to.
type badDisk struct {
	mu      sync.Mutex
	problem error
	hangs   chan struct{} // nil: it does not
}

func (d *badDisk) set(problem error, hangs chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problem, d.hangs = problem, hangs
}

func (d *badDisk) fail() error {
	d.mu.Lock()
	problem, hangs := d.problem, d.hangs
	d.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	return problem
}

func (d *badDisk) under(f *failover) {
	good := f.disk
	f.disk.write = func(path string, data []byte) error {
		if err := d.fail(); err != nil {
			return err
		}
		return good.write(path, data)
	}
	f.disk.append = func(directory string, lines []byte) error {
		if err := d.fail(); err != nil {
			return err
		}
		return good.append(directory, lines)
	}
}

// A full disk delays no decision, is told of, and gets all that it missed when there is room again.
func TestDiskIsFull(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		d := &badDisk{}
		g := launch(t, acting(directory), d.under)
		defer g.stop()
		g.see(10, entry1, entry2)
		d.set(syscall.ENOSPC, nil)
		g.see(6, "!"+entry1, entry2)
		require.Equal(t, uint32(0), g.entry()["idc1"])
		require.Contains(t, g.alertNames(), "FailoverStateBroken")
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_state_broken"))
		require.Positive(t, g.metric(t, "lockkeeper_failover_state_errors_total", attribute.String("what", "state")))
		require.Positive(t, g.metric(t, "lockkeeper_failover_state_errors_total", attribute.String("what", "audit")))
		var told struct{ State string }
		g.get(t, "GET", "/api/v1/failover", "", &told)
		require.Equal(t, "state: no space left on device; audit: no space left on device", told.State)
		var answer changed
		g.get(t, "POST", "/api/v1/failover/hold", `{"subject":"idc/idc2/entry","action":"hold","for":"1h"}`, &answer)
		require.False(t, answer.Saved)
		require.Contains(t, answer.Problem, "it holds, but is not on disk: state: no space left on device")
		require.Equal(t, 1, g.log.FilterMessageSnippet("is not on disk").Len(), "once, not each second")

		d.set(nil, nil)
		g.see(2, "!"+entry1, entry2)
		require.NotContains(t, g.alertNames(), "FailoverStateBroken")
		s, err := loadState(directory, time.Now())
		require.NoError(t, err)
		require.Len(t, s.Holds, 1)
		require.True(t, s.Decision.Verdict[entry1].Out)
		var ejected int
		for _, e := range readAudit(directory) {
			if e.Kind == "ejected" {
				ejected++
			}
		}
		require.Equal(t, 1, ejected, "each line once")
	})
}

// A disk that hangs delays no decision either, nor the end of the gateway for long.
func TestDiskHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		d, hangs := &badDisk{}, make(chan struct{})
		g := launch(t, acting(directory), d.under)
		g.see(10, entry1, entry2)
		d.set(nil, hangs)
		g.see(6, "!"+entry1, entry2)
		require.Equal(t, uint32(0), g.entry()["idc1"])
		began := time.Now()
		var answer changed
		g.get(t, "POST", "/api/v1/failover/hold", `{"subject":"idc/idc2/entry","action":"hold","for":"1h"}`, &answer)
		require.Contains(t, answer.Problem, "the disk does not answer")
		require.Equal(t, diskPatience, time.Since(began))
		g.see(5, "!"+entry1, entry2)
		require.Contains(t, g.alertNames(), "FailoverStateBroken")
		require.ErrorContains(t, g.Shutdown(t.Context()), "does not answer")
		close(hangs)
		<-g.keeper.done
		require.NoError(t, g.telemetry.Shutdown(t.Context()))
		s, err := loadState(directory, time.Now())
		require.NoError(t, err)
		require.Len(t, s.Holds, 1)
	})
}

// More lines than fit wait for no disk: the newest are dropped and counted.
func TestAuditOverflows(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		d := &badDisk{}
		d.set(errors.New("broken"), nil)
		g := launch(t, acting(directory), d.under)
		defer g.stop()
		for range 3 {
			g.keeper.keep(nil, make([]Event, mostLines/2))
			synctest.Wait()
			time.Sleep(2 * diskRetry)
		}
		synctest.Wait()
		require.InDelta(t, mostLines/2, g.metric(t, "lockkeeper_failover_audit_dropped_total"), 10)
	})
}

// A real limit of the kernel's: nothing that is on disk gets worse by what cannot be written.
func TestFileSizeLimit(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, stateFile)
	require.NoError(t, writeWhole(path, []byte("old")))
	require.NoError(t, appendAudit(directory, []byte(`{"what":"one"}`+"\n")))
	const limit = 4 << 20 // beyond what go test itself writes of this process
	limited(t, limit, func() {
		require.Error(t, writeWhole(path, []byte(strings.Repeat("x", 2*limit))))
		require.Error(t, appendAudit(directory, []byte(`{"what":"`+strings.Repeat("x", 2*limit)+"\"}\n")))
	})
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(data))
	require.NoError(t, appendAudit(directory, []byte(`{"what":"two"}`+"\n")))
	require.Equal(t, []Event{{What: "one"}, {What: "two"}}, readAudit(directory))
}
