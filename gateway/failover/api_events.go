package failover

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	eventsShown = 100              // unless the client asks for another number
	maxReaders  = 16               // clients that may follow at once
	readerTime  = 10 * time.Second // for a client to read what is written to it
)

// readers are the HTTP clients that follow the events.
type readers struct {
	open  chan struct{} // holds one for each
	done  chan struct{} // closed by close
	close func()
}

func newReaders() *readers {
	r := &readers{open: make(chan struct{}, maxReaders), done: make(chan struct{})}
	r.close = sync.OnceFunc(func() { close(r.done) })
	return r
}

// selection is which events a client asks for.
type selection struct {
	since         time.Time
	subject, kind string
	limit         int
	follow        bool
}

func (s *selection) takes(e *Event) bool {
	return !e.At.Before(s.since) && strings.HasPrefix(e.Subject, s.subject) && (s.kind == "" || s.kind == e.Kind)
}

// last are the newest ones of those that are asked for, oldest first.
func (s *selection) last(events []Event, limit int) []Event {
	var taken []Event
	for i := range events {
		if s.takes(&events[i]) {
			taken = append(taken, events[i])
		}
	}
	return taken[max(0, len(taken)-limit):]
}

// getEvents serves GET /api/v1/events: the last lines of the audit, one JSON object a line, and with follow=true the new ones until the
// client goes.
func (f *failover) getEvents(w http.ResponseWriter, r *http.Request) {
	query, err := parameters(r, "since", "subject", "kind", "limit", "follow")
	var s selection
	if err == nil {
		s, err = parseSelection(query, time.Now())
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if s.follow {
		select {
		case f.readers.open <- struct{}{}:
			defer func() { <-f.readers.open }()
		default:
			f.metrics.readerRefused()
			refuse(w, http.StatusServiceUnavailable, fmt.Errorf("%d clients follow already: end one of them", maxReaders))
			return
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	events, count, changed := f.events.after(0)
	events = s.last(events, s.limit)
	if !s.follow {
		_ = writeEvents(w, events) // fails when the client is gone
		return
	}
	f.follow(r.Context(), w, &s, events, count, changed)
}

// follow writes events and what comes after them. A client that takes more than readerTime for what was written is given up.
func (f *failover) follow(ctx context.Context, w http.ResponseWriter, s *selection, events []Event, count int, changed <-chan struct{}) {
	control := http.NewResponseController(w)
	tick := time.NewTicker(readerTime / 2) // a server may end an answer whose time is over even while nothing is written
	defer tick.Stop()
	for {
		_ = control.SetWriteDeadline(time.Now().Add(readerTime)) // a server that cannot has its own
		if writeEvents(w, events) != nil || control.Flush() != nil {
			return
		}
		events = nil
		select {
		case <-ctx.Done():
			return
		case <-f.readers.done:
			return
		case <-tick.C:
		case <-changed:
			events, count, changed = f.events.after(count)
			events = s.last(events, len(events))
		}
	}
}

func writeEvents(w http.ResponseWriter, events []Event) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for i := range events {
		if err := out.Encode(&events[i]); err != nil {
			return err
		}
	}
	return nil
}

// parseSelection reads the parameters. since is a time, or how long ago.
func parseSelection(query url.Values, now time.Time) (s selection, err error) {
	s = selection{subject: query.Get("subject"), kind: query.Get("kind"), limit: eventsShown}
	if text := query.Get("since"); text != "" {
		if ago, e := time.ParseDuration(text); e == nil && ago >= 0 {
			s.since = now.Add(-ago)
		} else if s.since, err = time.Parse(time.RFC3339, text); err != nil {
			return s, fmt.Errorf("since: %q is neither a time like 2006-01-02T15:04:05Z nor one that is past, like 10m", text)
		}
	}
	if text := query.Get("limit"); text != "" {
		if s.limit, err = strconv.Atoi(text); err != nil || s.limit < 0 || s.limit > mostEvents {
			return s, fmt.Errorf("limit: %q is not a number from 0 to %d", text, mostEvents)
		}
	}
	if text := query.Get("follow"); text != "" {
		if s.follow, err = strconv.ParseBool(text); err != nil {
			return s, fmt.Errorf("follow: %q is neither true nor false", text)
		}
	}
	return s, nil
}
