package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
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

// keeper brings the state and the audit to the disk, and the audit to the log, in a goroutine of its own: a disk that is full or hangs delays
// no decision.
type keeper struct {
	disk
	directory string
	log       *zap.Logger
	metrics   *metrics

	mu      sync.Mutex
	next    *state        // the newest, which is not on disk
	given   int           // states
	written int           // of which are on disk, or overtaken by one that is
	events  []Event       // that are not in the log yet
	lines   [][]byte      // of the audit that are not on disk
	since   time.Time     // since when something waits
	problem error         // of the last attempt
	aside   []string      // states that could not be read
	tried   chan struct{} // closed after each attempt
	wake    chan struct{}
	done    chan struct{} // closed when nothing is written any more
}

// disk is what the keeper needs of one.
type disk struct {
	write  func(path string, data []byte) error       // replaces a file, whole
	append func(directory string, lines []byte) error // to the audit
}

func newKeeper(d disk, directory string, log *zap.Logger, m *metrics) *keeper {
	return &keeper{
		disk: d, directory: directory, log: log, metrics: m, aside: putAside(directory),
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
	room := min(len(happened), mostLines-len(k.events))
	k.events = append(k.events, happened[:room]...)
	if k.since.IsZero() && k.waits() {
		k.since = time.Now()
	}
	k.mu.Unlock()
	if dropped := len(happened) - room; dropped > 0 {
		k.metrics.auditDropped(dropped)
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) waits() bool { return k.next != nil || len(k.events) > 0 || len(k.lines) > 0 }

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
	next, upTo, happened, lines := k.next, k.given, k.events, k.lines
	k.next, k.events, k.lines = nil, nil, nil
	k.mu.Unlock()
	k.tell(happened)
	for i := range happened {
		if line, err := json.Marshal(&happened[i]); err == nil { // it never fails
			lines = append(lines, append(line, '\n'))
		}
	}
	stateErr, auditErr := k.writeState(next), k.writeLines(lines)
	if stateErr == nil {
		next = nil
	}
	if auditErr == nil {
		lines = nil
	}
	if over := len(lines) - mostLines; over > 0 {
		k.metrics.auditDropped(over)
		lines = lines[:mostLines]
	}
	k.report(errors.Join(stateErr, auditErr))
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lines = lines; k.next == nil {
		k.next = next
	}
	if stateErr == nil {
		k.written = upTo
	}
	if !k.waits() {
		k.since = time.Time{}
	} else if k.problem == nil {
		k.since = time.Now()
	}
	close(k.tried)
	k.tried = make(chan struct{})
}

// report remembers how an attempt went, and tells when that has changed.
func (k *keeper) report(problem error) {
	k.mu.Lock()
	before := k.problem
	k.problem = problem
	k.mu.Unlock()
	if problem != nil && before == nil { // once, not each second
		k.log.Error("what failover must keep is not on disk: it goes on from memory, and tries again", zap.Error(problem))
	} else if problem == nil && before != nil {
		k.log.Warn("what failover must keep is on disk again")
	}
}

// tell writes events into the log.
func (k *keeper) tell(happened []Event) {
	for _, e := range happened {
		var fields []zap.Field
		for _, f := range [][2]string{{"subject", e.Subject}, {"what", e.What}, {"why", e.Why}, {"who", e.Who}, {"undoes", e.Undoes}} {
			if f[1] != "" {
				fields = append(fields, zap.String(f[0], f[1]))
			}
		}
		if e.Kind == "verdict" {
			k.log.Info("failover: "+e.Kind, fields...)
		} else { // it must be seen with the default configuration, too
			k.log.Warn("failover: "+e.Kind, fields...)
		}
	}
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

// broken says on one line what is wrong with the disk now, and which states were put aside.
func (k *keeper) broken(now time.Time) (problem string, since time.Time, aside []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.problem != nil:
		problem = strings.ReplaceAll(k.problem.Error(), "\n", "; ")
	case !k.since.IsZero() && now.Sub(k.since) > diskHangs:
		problem = fmt.Sprintf("the disk under %s has not answered for %s", k.directory, now.Sub(k.since).Round(time.Second))
	}
	return problem, k.since, k.aside
}
