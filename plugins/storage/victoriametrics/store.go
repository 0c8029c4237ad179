package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/app/vmstorage"
	"github.com/VictoriaMetrics/metrics"
	"github.com/golang/snappy"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	// visibleEvery is how often what was written is made visible to queries. VictoriaMetrics does it by itself every
	// 2 s, and only every 10 s lets a query find a new name that was asked for in vain before.
	visibleEvery = 500 * time.Millisecond

	// checkpointEvery and checkpointBytes bound what has to be replayed after a crash.
	checkpointEvery = 10 * time.Second
	checkpointBytes = 256 << 20

	// maxWALBytes bounds the log. It is reached only when VictoriaMetrics cannot write to its disk for long:
	// then requests are refused until it can.
	maxWALBytes = 1 << 30

	// retryReplay is the pause before a request of the log that VictoriaMetrics could not take just now is tried again.
	retryReplay = time.Second
)

var errWALFull = errors.New("the write-ahead log is full because VictoriaMetrics is slow to write to its disk")

// store joins VictoriaMetrics, which holds new samples in memory for up to 12 s, with the write-ahead log: a
// request is acknowledged when it is in both, and leaves the log when VictoriaMetrics has it on disk.
type store struct {
	log   *wal
	limit int64     // of the log's size
	pool  sync.Pool // of *request
	packs sync.Pool // of *[]byte

	// flushed makes VictoriaMetrics write to disk, with so many tries, and tells whether it is proven that it did.
	flushed func(tries int) (bool, error)

	// gate is read-held while a request goes into both. Who holds it for writing knows that every request whose
	// record is in the log has been handed to VictoriaMetrics whole.
	gate    sync.RWMutex
	written atomic.Bool

	cancel   context.CancelFunc
	work     sync.WaitGroup
	replayed chan struct{}
	counters
}

type counters struct {
	requests, replays, leftOut, full, checkpoints, paused, failed *metrics.Counter
}

// newStore replays what an earlier process left in the log and keeps the log short, both in the background.
func newStore(log *wal, leftover []segment) *store {
	ctx, cancel := context.WithCancel(context.Background())
	s := &store{log: log, limit: maxWALBytes, flushed: flushed, cancel: cancel, replayed: make(chan struct{}), counters: counters{
		requests:    metrics.GetOrCreateCounter("lockkeeper_wal_requests_total"),
		replays:     metrics.GetOrCreateCounter("lockkeeper_wal_replayed_requests_total"),
		leftOut:     metrics.GetOrCreateCounter("lockkeeper_wal_replay_refused_total"),
		full:        metrics.GetOrCreateCounter("lockkeeper_wal_full_requests_total"),
		checkpoints: metrics.GetOrCreateCounter("lockkeeper_wal_checkpoints_total"),
		paused:      metrics.GetOrCreateCounter("lockkeeper_wal_checkpoints_paused_total"),
		failed:      metrics.GetOrCreateCounter("lockkeeper_wal_checkpoints_failed_total"),
	}}
	metrics.GetOrCreateGauge("lockkeeper_wal_bytes", func() float64 { return float64(log.bytes()) })
	s.work.Go(func() { s.replay(ctx, leftover) })
	s.work.Go(func() { s.keepShort(ctx) })
	return s
}

// write stores one request. When it returns nil, the death of this process does not lose it. The insert comes
// first, so that the log holds nothing that VictoriaMetrics refuses or dies of.
func (s *store) write(kind recordKind, body []byte) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.log.bytes() >= s.limit {
		s.full.Inc()
		return sdk.Retryable(errWALFull, time.Second)
	}
	if err := s.insert(kind, body); err != nil {
		return err
	}
	if err := s.keep(kind, body); err != nil {
		return err
	}
	s.written.Store(true)
	s.requests.Inc()
	return nil
}

// keep appends the request to the log. OTLP says the same again and again: compressed, it is a tenth and less, and
// compressing costs less than writing it would.
func (s *store) keep(kind recordKind, body []byte) error {
	if kind != recordOTLP {
		return s.log.append(kind, body)
	}
	pack, _ := s.packs.Get().(*[]byte)
	if pack == nil {
		pack = new([]byte)
	}
	defer s.packs.Put(pack)
	*pack = snappy.Encode((*pack)[:cap(*pack)], body)
	return s.log.append(recordPackedOTLP, *pack)
}

// replay inserts the requests of segments again. Those that were on disk already are stored once all the same,
// by VictoriaMetrics's deduplication. The segments stay until the next checkpoint.
func (s *store) replay(ctx context.Context, segments []segment) {
	defer close(s.replayed)
	if len(segments) == 0 {
		return
	}
	began, size, requests := time.Now(), int64(0), 0
	for _, segment := range segments {
		unread, err := readSegment(segment.path, func(kind recordKind, body []byte) error {
			requests++
			return s.insertAgain(ctx, kind, body)
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			warn("write-ahead log: %q: %v; it is kept for the next start", segment.path, err)
			return
		}
		if unread > 0 {
			info("write-ahead log: the last %d bytes of %q are not a whole record: a request that was not acknowledged", unread, segment.path)
		}
		size += segment.size
	}
	s.log.adopt(segments)
	vmstorage.DebugFlush() // a query that sees nothing would end alerts
	info("write-ahead log: replayed %d requests, %d bytes, in %v", requests, size, time.Since(began).Round(time.Millisecond))
}

// insertAgain tries until VictoriaMetrics has taken the request, or refuses it for good.
func (s *store) insertAgain(ctx context.Context, kind recordKind, body []byte) error {
	for {
		s.gate.RLock()
		err := s.insert(kind, body)
		s.gate.RUnlock()
		s.written.Store(true)
		s.replays.Inc()
		if err == nil {
			return ctx.Err()
		}
		if sdk.IsPermanent(err) {
			s.leftOut.Inc()
			warn("write-ahead log: one request is left out: %v", err)
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryReplay):
		}
	}
}

// waitReplay returns when the replay is over, or after at most the given time.
func (s *store) waitReplay(ctx context.Context, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	select {
	case <-s.replayed:
	case <-ctx.Done():
	}
}

// keepShort makes samples visible and checkpoints until ctx is over.
func (s *store) keepShort(ctx context.Context) {
	ticker := time.NewTicker(visibleEvery)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.written.Swap(false) {
			vmstorage.DebugFlush()
		}
		select {
		case <-s.replayed:
		default:
			continue // what is being replayed cannot leave the log yet
		}
		if time.Since(last) >= checkpointEvery || s.log.bytes() >= checkpointBytes {
			s.checkpoint()
			last = time.Now()
		}
	}
}

// checkpoint deletes the segments written so far, once VictoriaMetrics has on disk what is in them.
//
// The proof: after rotate under the gate, all of it has been handed to VictoriaMetrics. DebugFlush returns when
// nothing of that is in the buffers before the parts in memory any more. A part leaves memory only for one on
// disk. So an instant without parts in memory, after DebugFlush, means that it is all on disk. A flush alone
// proves less: it leaves out parts that are being merged.
func (s *store) checkpoint() {
	s.gate.Lock()
	segments := s.log.rotate()
	s.gate.Unlock()
	if len(segments) == 0 {
		return
	}
	s.checkpoints.Inc()
	done, err := s.flushed(3)
	if !done && err == nil {
		// New samples come in faster than the instant between: hold them back for a moment.
		s.paused.Inc()
		s.gate.Lock()
		done, err = s.flushed(20)
		s.gate.Unlock()
	}
	if !done {
		s.failed.Inc()
		warn("write-ahead log: VictoriaMetrics still has samples in memory that it should have on disk (%v); the log is kept", err)
		return
	}
	if err := s.log.remove(segments); err != nil {
		warn("write-ahead log: %v", err)
	}
}

func flushed(tries int) (bool, error) {
	for range tries {
		vmstorage.DebugFlush()
		if err := flushToDisk(); err != nil {
			return false, err
		}
		if onDisk() {
			return true, nil
		}
	}
	return false, nil
}

// stop ends the background work and closes VictoriaMetrics, which writes everything to disk. No write may be
// under way.
func (s *store) stop(closeVictoriaMetrics func()) {
	s.cancel()
	s.work.Wait()
	segments := s.log.rotate()
	closeVictoriaMetrics()
	if err := s.log.remove(segments); err != nil {
		warn("write-ahead log: %v", err)
	}
}
