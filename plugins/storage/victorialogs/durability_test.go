package main

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
)

func TestKillLosesNothingThatWasAcknowledged(t *testing.T) {
	directory := t.TempDir()
	n := 0
	p := start(t, directory)
	for range 3 {
		for range 100 {
			n++
			p.mustExport(record("steady", time.Now(), map[string]any{"service.name": "cart"}, map[string]any{"n": n}))
			p.mustExport(record("fresh", time.Now(), map[string]any{"service.name": fmt.Sprintf("new-%d", n)}, nil))
		}
		p.Kill()
		p = start(t, directory)
		p.Back()
		p.eventually(`{service.name="cart"} steady | uniq by (n)`, n)
		p.eventually(`{service.name=~"new-.+"} fresh | uniq by (service.name)`, n)
	}
}

// Kills at any moment, also in the middle of checkpoints, under a load that never pauses but for the kill.
func TestKillUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	directory := t.TempDir()
	acknowledged := 0
	p := start(t, directory)
	for _, after := range []time.Duration{3 * time.Second, 10*time.Second + 200*time.Millisecond, 700 * time.Millisecond} {
		var killed atomic.Bool
		kill := time.AfterFunc(after, func() {
			killed.Store(true)
			_ = p.Command.Process.Kill()
		})
		send := func() {
			resource := map[string]any{"service.name": fmt.Sprintf("s%d", acknowledged%50), "service.version": fmt.Sprint(acknowledged / 1000)}
			if p.export(record("loaded", time.Now(), resource, map[string]any{"n": acknowledged})) == nil {
				acknowledged++
			}
		}
		for !killed.Load() {
			send()
		}
		kill.Stop()
		p.Kill()
		p = start(t, directory)
		p.Back()
		send() // again what was not acknowledged, as the gateway's queue does
		p.eventually(`{service.name=~"s.+"} loaded | count_uniq(n) as found | filter found:=`+fmt.Sprint(acknowledged), 1)
		t.Logf("%d records acknowledged, %v stored", acknowledged, p.find("loaded | count() as stored"))
	}
}

// What is on disk leaves the log, and is still there after a kill.
func TestCheckpointShortensTheLog(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 seconds")
	}
	t.Parallel()
	directory := t.TempDir()
	p := start(t, directory)
	for i := range 50 {
		// of two days
		p.mustExport(record("kept", time.Now().Add(-time.Duration(i)*time.Hour), map[string]any{"service.name": fmt.Sprintf("s%d", i)}, nil))
	}
	if len(storagetest.Segments(t, directory)) == 0 {
		t.Fatal("no segment")
	}
	p.AwaitCheckpoint(directory)
	if left, _ := filepath.Glob(filepath.Join(directory, "partitions", "*", "snapshots", "*")); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
	p.Kill()
	p = start(t, directory)
	p.eventually(`{service.name=~"s.+"} kept`, 50)
}

func TestStopLeavesNothingInTheLog(t *testing.T) {
	directory := t.TempDir()
	p := start(t, directory)
	p.mustExport(record("kept", time.Now(), map[string]any{"service.name": "cart"}, nil))
	began := time.Now()
	p.Stop()
	t.Logf("stopped after %v", time.Since(began))
	if left := storagetest.Segments(t, directory); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	p = start(t, directory)
	p.eventually(`{service.name="cart"}`, 1)
}
