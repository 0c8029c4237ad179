package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
)

func TestKillLosesNothingThatWasAcknowledged(t *testing.T) {
	directory := t.TempDir()
	began := time.Now().Add(-time.Minute)
	n := 0
	p := start(t, directory)
	for range 3 {
		for range 100 {
			n++
			p.mustExport(counter("steady_total", began.Add(time.Duration(n)*time.Millisecond), float64(n), map[string]any{"round": "all"}))
			p.mustExport(counter(fmt.Sprintf("new_%d_total", n), began.Add(time.Duration(n)*time.Millisecond), 1, nil))
		}
		p.Kill()
		p = start(t, directory)
		p.Back()
		p.eventually(`count_over_time(steady_total[10m])`, float64(n))
		p.eventually(`count({__name__=~"new_.+"})`, float64(n))
	}
}

// What was replayed is seen by the first query: one that saw nothing would end alerts.
func TestKillHidesNothing(t *testing.T) {
	directory := t.TempDir()
	p := start(t, directory)
	for i := range 5 {
		// A query without a time is one of the whole second before it.
		p.mustExport(counter("shown_total", time.Now().Add(-2*time.Second), float64(i), nil))
		p.Kill()
		p = start(t, directory)
		for !strings.Contains(p.Log.String(), "write-ahead log: replayed") {
			time.Sleep(time.Millisecond)
		}
		if got := p.ask("shown_total"); len(got) != 1 || got[0].value != float64(i) {
			t.Errorf("right after the replay: %v, want one value %d", got, i)
		}
	}
}

// Kills at any moment, also in the middle of checkpoints, under a load that never pauses but for the kill.
func TestKillUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	directory := t.TempDir()
	began := time.Now().Add(-10 * time.Minute)
	acknowledged := 0
	p := start(t, directory)
	for _, after := range []time.Duration{3 * time.Second, 10*time.Second + 200*time.Millisecond, 11 * time.Second, 700 * time.Millisecond} {
		var killed atomic.Bool
		kill := time.AfterFunc(after, func() {
			killed.Store(true)
			_ = p.Command.Process.Kill()
		})
		send := func() {
			at := began.Add(time.Duration(acknowledged) * time.Millisecond)
			if p.export(counter("loaded_total", at, float64(acknowledged), nil)) == nil {
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
		p.eventually(`count_over_time(loaded_total[1h])`, float64(acknowledged))
	}
	t.Logf("%d samples acknowledged", acknowledged)
}

// What is on disk leaves the log, and is still there after a kill.
func TestCheckpointShortensTheLog(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 seconds")
	}
	directory := t.TempDir()
	p := start(t, directory)
	for i := range 50 {
		p.mustExport(counter("kept_total", time.Now().Add(time.Duration(i-60)*time.Second), float64(i), nil))
	}
	if len(storagetest.Segments(t, directory)) == 0 {
		t.Fatal("no segment")
	}
	p.AwaitCheckpoint(directory)
	p.Kill()
	p = start(t, directory)
	p.eventually(`count_over_time(kept_total[10m])`, 50)
}

func TestStopLeavesNothingInTheLog(t *testing.T) {
	directory := t.TempDir()
	p := start(t, directory)
	p.mustExport(counter("kept_total", time.Now(), 1, nil))
	began := time.Now()
	p.Stop()
	t.Logf("stopped after %v", time.Since(began))
	if left := storagetest.Segments(t, directory); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	p = start(t, directory)
	p.eventually(`kept_total`, 1)
}

// A long log is replayed behind, and a kill during the replay loses nothing either.
func TestKillDuringReplay(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	directory := t.TempDir()
	w, err := victoria.OpenLog(filepath.Join(directory, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	samples := 0
	for round := 0; w.Bytes() < 100<<20; round++ {
		for i := range benchSeries / benchBatch {
			request := batch(t, i)
			stamp(request, time.Now().Add(time.Duration(round-600)*time.Second))
			if err := w.Append(victoria.OTLP, request); err != nil {
				t.Fatal(err)
			}
			samples += benchBatch
		}
	}
	p := start(t, directory)
	p.Back()
	t.Logf("with %d samples to replay", samples)
	p.Kill()
	p = start(t, directory)
	p.mustExport(counter("after_total", time.Now(), 1, nil))
	p.Kill()
	p = start(t, directory)
	p.eventually(`sum(count_over_time(istio_requests_total[1h]))`, float64(samples))
	p.eventually(`after_total`, 1)
	t.Logf("%s", p.Log)
}

// What a replay finds and VictoriaMetrics refuses is counted, and hides nothing that follows it.
func TestReplayLeavesOutWhatIsRefused(t *testing.T) {
	directory := t.TempDir()
	w, err := victoria.OpenLog(filepath.Join(directory, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []struct {
		kind victoria.Kind
		body []byte
	}{{victoria.OTLP, []byte("garbage")}, {77, nil}, {victoria.RemoteWrite, []byte("garbage")}, {3, []byte("garbage")}, {victoria.OTLP, batch(t, 0)}} {
		if err := w.Append(request.kind, stamped(request.body)); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, directory)
	p.eventually(`count(istio_requests_total)`, benchBatch)
	if page := string(p.Get("/metrics")); !strings.Contains(page, "lockkeeper_wal_replay_refused_total 4") || !strings.Contains(page, "lockkeeper_wal_replayed_requests_total 5") {
		t.Errorf("not counted:\n%s", p.Log)
	}
}

func stamped(request []byte) []byte {
	stamp(request, time.Now())
	return request
}
