package victoria

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/golang/snappy"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	// visibleEvery is how often what was written is made visible to queries.
	visibleEvery = 500 * time.Millisecond

	// checkpointEvery and checkpointBytes bound what has to be replayed after a crash.
	checkpointEvery = 10 * time.Second
	checkpointBytes = 256 << 20

	// maxWALBytes bounds the log. It is reached only when the database cannot write to its disk for long:
	// then requests are refused until it can.
	maxWALBytes = 1 << 30

	// retryReplay is the pause before a request of the log that the database could not take just now is tried again.
	retryReplay = time.Second
)

// Database is what Store makes safe. It holds new data in memory for some seconds.
type Database struct {
	Name string // for people

	// Start opens it, once in a process.
	Start func(Settings) error

	// Stop closes it, which writes everything to disk.
	Stop func()

	// Insert puts a request of the kind OTLP or RemoteWrite, whichever were given to Write, into the database. A replay
	// inserts again what was inserted before. An error is for good if it is sdk.Permanent.
	Insert func(kind Kind, body []byte) error

	// Show makes all that was inserted visible to queries.
	Show func()

	// Flushed makes the database write to disk what it holds, with so many tries, and tells whether there was an instant, after
	// the call, at which it held nothing in memory. Other requests may be inserted meanwhile.
	Flushed func(tries int) (bool, error)
}

// Store joins a Database with the write-ahead log: a request is acknowledged when it is in both, and leaves the log when the
// database has it on disk.
type Store struct {
	Database
	log   *Log
	limit int64     // of the log's size
	packs sync.Pool // of *[]byte

	// gate is read-held while a request goes into both. Who holds it for writing knows that every request whose
	// record is in the log has been handed to the database whole.
	gate    sync.RWMutex
	written atomic.Bool

	cancel   context.CancelFunc
	work     sync.WaitGroup
	replayed chan struct{}
	counters
}

type counters struct {
	requests, replays, leftOut, unread, full, checkpoints, paused, failed *metrics.Counter
}

// newStore replays what an earlier process left in the log and keeps the log short, both in the background.
func newStore(database Database, log *Log) *Store {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{Database: database, log: log, limit: maxWALBytes, cancel: cancel, replayed: make(chan struct{}), counters: counters{
		requests:    metrics.GetOrCreateCounter("lockkeeper_wal_requests_total"),
		replays:     metrics.GetOrCreateCounter("lockkeeper_wal_replayed_requests_total"),
		leftOut:     metrics.GetOrCreateCounter("lockkeeper_wal_replay_refused_total"),
		unread:      metrics.GetOrCreateCounter("lockkeeper_wal_unread_segments_total"),
		full:        metrics.GetOrCreateCounter("lockkeeper_wal_full_requests_total"),
		checkpoints: metrics.GetOrCreateCounter("lockkeeper_wal_checkpoints_total"),
		paused:      metrics.GetOrCreateCounter("lockkeeper_wal_checkpoints_paused_total"),
		failed:      metrics.GetOrCreateCounter("lockkeeper_wal_checkpoints_failed_total"),
	}}
	metrics.GetOrCreateGauge("lockkeeper_wal_bytes", func() float64 { return float64(log.Bytes()) })
	s.work.Go(func() { s.replay(ctx, log.leftover) })
	s.work.Go(func() { s.keepShort(ctx) })
	return s
}

// Write stores one request. When it returns nil, the death of this process does not lose it. The insert comes
// first, so that the log holds nothing that the database refuses or dies of.
func (s *Store) Write(kind Kind, body []byte) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.log.Bytes() >= s.limit {
		s.full.Inc()
		return sdk.Retryable(fmt.Errorf("the write-ahead log is full because %s is slow to write to its disk", s.Name), time.Second)
	}
	if err := s.Insert(kind, body); err != nil {
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
func (s *Store) keep(kind Kind, body []byte) error {
	if kind != OTLP {
		return s.log.Append(kind, body)
	}
	pack, _ := s.packs.Get().(*[]byte)
	if pack == nil {
		pack = new([]byte)
	}
	defer s.packs.Put(pack)
	*pack = snappy.Encode((*pack)[:cap(*pack)], body)
	return s.log.Append(packedOTLP, *pack)
}

// replay inserts the requests of segments again, those that were on disk already too. The segments stay until the next
// checkpoint; one that cannot be read stays for the next start.
func (s *Store) replay(ctx context.Context, segments []segment) {
	defer close(s.replayed)
	if len(segments) == 0 {
		return
	}
	began, size, requests := time.Now(), int64(0), 0
	var replayed []segment
	for _, segment := range segments {
		unread, err := readSegment(segment.path, func(kind Kind, body []byte) error {
			requests++
			return s.insertAgain(ctx, kind, body)
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.unread.Inc()
			s.log.setAside(segment)
			Warn("write-ahead log: %q cannot be read: %v; it is kept for the next start", segment.path, err)
			continue
		}
		if unread > 0 {
			Info("write-ahead log: the last %d bytes of %q are not a whole record: a request that was not acknowledged", unread, segment.path)
		}
		size += segment.size
		replayed = append(replayed, segment)
	}
	s.log.adopt(replayed)
	s.Show() // a query that sees nothing would end alerts
	Info("write-ahead log: replayed %d requests, %d bytes, in %v", requests, size, time.Since(began).Round(time.Millisecond))
}

// insertAgain tries until the database has taken the request, or refuses it for good.
func (s *Store) insertAgain(ctx context.Context, kind Kind, body []byte) error {
	for {
		s.gate.RLock()
		err := s.insertRecord(kind, body)
		s.gate.RUnlock()
		s.written.Store(true)
		s.replays.Inc()
		if err == nil {
			return ctx.Err()
		}
		if sdk.IsPermanent(err) {
			s.leftOut.Inc()
			Warn("write-ahead log: one request is left out: %v", err)
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
func (s *Store) waitReplay(ctx context.Context, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	select {
	case <-s.replayed:
	case <-ctx.Done():
	}
}

// keepShort makes what was written visible and checkpoints until ctx is over.
func (s *Store) keepShort(ctx context.Context) {
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
			s.Show()
		}
		select {
		case <-s.replayed:
		default:
			continue // what is being replayed cannot leave the log yet
		}
		if time.Since(last) >= checkpointEvery || s.log.Bytes() >= checkpointBytes {
			s.checkpoint()
			last = time.Now()
		}
	}
}

// checkpoint deletes the segments written so far, once the database has on disk what is in them.
//
// The proof: after rotate under the gate, all of it has been handed to the database, and leaves its memory only for its disk.
// So an instant at which it holds nothing in memory means that it is all on disk. A flush alone proves less: it leaves
// out what is just being merged.
func (s *Store) checkpoint() {
	s.gate.Lock()
	segments := s.log.rotate()
	s.gate.Unlock()
	if len(segments) == 0 {
		return
	}
	s.checkpoints.Inc()
	done, err := s.Flushed(3)
	if !done && err == nil {
		// New requests come in faster than the instant between: hold them back for a moment.
		s.paused.Inc()
		s.gate.Lock()
		done, err = s.Flushed(20)
		s.gate.Unlock()
	}
	if !done {
		s.failed.Inc()
		Warn("write-ahead log: %s still has in memory what it should have on disk (%v); the log is kept", s.Name, err)
		return
	}
	if err := s.log.remove(segments); err != nil {
		Warn("write-ahead log: %v", err)
	}
}

// stop ends the background work and closes the database, which writes everything to disk by that. No write may be under way.
func (s *Store) stop() {
	s.cancel()
	s.work.Wait()
	segments := s.log.rotate()
	s.Database.Stop()
	if err := s.log.remove(segments); err != nil {
		Warn("write-ahead log: %v", err)
	}
}

// insertRecord inserts a record of the log.
func (s *Store) insertRecord(kind Kind, body []byte) error {
	if kind != packedOTLP {
		return s.Insert(kind, body)
	}
	request, err := unpack(body)
	if err != nil {
		return err
	}
	return s.Insert(OTLP, request)
}

// unpack is the request in a record of the kind packedOTLP.
func unpack(pack []byte) ([]byte, error) {
	size, err := snappy.DecodedLen(pack)
	if err == nil && size > sdk.MaxMessageBytes {
		err = fmt.Errorf("%d bytes are more than a request has", size)
	}
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	body, err := snappy.Decode(nil, pack)
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	return body, nil
}
