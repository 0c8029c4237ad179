package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	diskRetry    = time.Second      // until what could not be written is tried again
	diskPatience = 2 * time.Second  // for which a person waits to hear that a hold is on disk
	diskHangs    = 5 * time.Second  // after which a write without an end is an alarm
	asideEvery   = 10 * time.Second // how often it is looked whether states put aside are still there
	mostLines    = 10_000           // of the audit that wait for the disk; more are dropped and counted
)

// keeper brings the state and the audit to the disk, in a goroutine of its own: a disk that is full or hangs delays no decision.
type keeper struct {
	directory string
	log       *zap.Logger
	metrics   *metrics
	write     func(path string, data []byte) error       // writeWhole
	append    func(directory string, lines []byte) error // appendAudit

	mu      sync.Mutex
	next    *state // the newest, which is not on disk
	given   int    // states
	written int    // of which are on disk, or overtaken by one that is
	lines   [][]byte
	since   time.Time     // since when something waits
	problem error         // of the last attempt
	aside   []string      // states that could not be read
	tried   chan struct{} // closed after each attempt
	wake    chan struct{}
	done    chan struct{} // closed when nothing is written any more
}

func newKeeper(directory string, log *zap.Logger, m *metrics) *keeper {
	return &keeper{
		directory: directory, log: log, metrics: m, write: writeWhole, append: appendAudit, aside: putAside(directory),
		tried: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// keep takes the newest state and what led to it. It never waits. The state must not change any more.
func (k *keeper) keep(s *state, happened []Event) {
	k.mu.Lock()
	if s != nil {
		k.next = s
		k.given++
	}
	for _, e := range happened {
		line, err := json.Marshal(e)
		if err != nil || len(k.lines) >= mostLines {
			k.metrics.auditDropped(1)
			continue
		}
		k.lines = append(k.lines, append(line, '\n'))
	}
	if k.since.IsZero() && (k.next != nil || len(k.lines) > 0) {
		k.since = time.Now()
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, and then what is left.
func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	look := time.NewTicker(asideEvery)
	defer look.Stop()
	for {
		var retry <-chan time.Time
		if k.failing() {
			retry = time.After(diskRetry)
		}
		select {
		case <-ctx.Done():
			k.commit()
			return
		case <-look.C:
			k.look()
			continue
		case <-k.wake:
		case <-retry:
		}
		began := time.Now()
		k.commit()
		rest(ctx, 4*time.Since(began)) // a busy time is no reason to keep the disk busy all the time
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (k *keeper) failing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problem != nil
}

// look finds out whether somebody has cared for the states put aside.
func (k *keeper) look() {
	found := putAside(k.directory)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.aside = found
}

// commit writes what waits.
func (k *keeper) commit() {
	k.mu.Lock()
	next, upTo, lines := k.next, k.given, k.lines
	k.next, k.lines = nil, nil
	k.mu.Unlock()
	unwritten, stateErr := next, k.writeState(next)
	if stateErr == nil {
		unwritten = nil
	}
	auditErr := k.writeLines(lines)
	if auditErr == nil {
		lines = nil
	}
	err := errors.Join(stateErr, auditErr)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next == nil {
		k.next = unwritten
	}
	if stateErr == nil {
		k.written = upTo
	}
	k.lines = append(lines, k.lines...)
	if over := len(k.lines) - mostLines; over > 0 {
		k.metrics.auditDropped(over)
		k.lines = k.lines[:mostLines]
	}
	if k.next == nil && len(k.lines) == 0 {
		k.since = time.Time{}
	} else if err == nil {
		k.since = time.Now()
	}
	if err != nil && k.problem == nil { // once, not each second
		k.log.Error("what failover must keep is not on disk: it goes on from memory, and tries again", zap.Error(err))
	} else if err == nil && k.problem != nil {
		k.log.Warn("what failover must keep is on disk again")
	}
	k.problem = err
	close(k.tried)
	k.tried = make(chan struct{})
}

func (k *keeper) writeState(s *state) error {
	if s == nil {
		return nil
	}
	data, err := encodeState(s)
	if err == nil {
		err = k.write(filepath.Join(k.directory, stateFile), data)
	}
	if err != nil {
		k.metrics.stateError("state")
		err = fmt.Errorf("state: %w", err)
	}
	return err
}

func (k *keeper) writeLines(lines [][]byte) error {
	if len(lines) == 0 {
		return nil
	}
	var all []byte
	for _, line := range lines {
		all = append(all, line...)
	}
	if err := k.append(k.directory, all); err != nil {
		k.metrics.stateError("audit")
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// settled returns when all that was given so far is on disk, or says why it is not: it is tried again all the same.
func (k *keeper) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, diskPatience)
	defer cancel()
	k.mu.Lock()
	upTo := k.given
	for k.written < upTo {
		if k.problem != nil {
			defer k.mu.Unlock()
			return k.problem
		}
		tried := k.tried
		k.mu.Unlock()
		select {
		case <-tried:
		case <-k.done:
			return errors.New("the gateway stops")
		case <-ctx.Done():
			return errors.New("the disk does not answer")
		}
		k.mu.Lock()
	}
	k.mu.Unlock()
	return nil
}

// broken says what is wrong with the disk now, and which states were put aside.
func (k *keeper) broken(now time.Time) (problem string, since time.Time, aside []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.problem != nil:
		problem = k.problem.Error()
	case !k.since.IsZero() && now.Sub(k.since) > diskHangs:
		problem = fmt.Sprintf("the disk under %s has not answered for %s", k.directory, now.Sub(k.since).Round(time.Second))
	}
	return problem, k.since, k.aside
}
