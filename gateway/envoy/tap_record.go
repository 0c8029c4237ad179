package envoy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// droppedTrailer tells at the end of a recording how many messages the client was too slow for.
const droppedTrailer = "Lockkeeper-Dropped"

// recordMessages serves GET /api/v1/record: the messages of all streams of a kind from now on, each with its length in front
// and its stream's identifier inside, until the client goes or the time is over.
func (r *envoyReceiver) recordMessages(w http.ResponseWriter, request *http.Request) {
	one, err := parseRecording(request.URL.Query())
	if err != nil {
		refuseRequest(w, http.StatusBadRequest, err)
		return
	}
	if err := r.recordings.enter(); err != nil {
		refuseRequest(w, http.StatusServiceUnavailable, err)
		return
	}
	defer r.recordings.leave()
	one.total = &r.recordings.dropped
	r.taps.add(one)
	defer r.taps.remove(one)
	w.Header().Set("Trailer", droppedTrailer)
	out := newAnswer(w, "application/octet-stream")
	if err := out.flush(); err != nil { // the client learns that it records now
		return
	}
	_ = one.run(out, request.Context().Done(), r.recordings.done) // fails when the client is gone
	w.Header().Set(droppedTrailer, strconv.FormatInt(one.dropped.Load(), 10))
}

func (r *recording) run(out *answer, gone, done <-chan struct{}) error {
	var over <-chan time.Time
	if r.lasts > 0 {
		timer := time.NewTimer(r.lasts)
		defer timer.Stop()
		over = timer.C
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return nil
		case <-done:
			return r.rest(out)
		case <-over:
			return r.rest(out)
		case <-tick.C:
			out.extend()
		case record := <-r.messages:
			if err := r.write(out, record); err != nil {
				return err
			}
			if len(r.messages) > 0 {
				continue
			}
			if err := out.flush(); err != nil {
				return err
			}
		}
	}
}

// rest writes what has arrived by now.
func (r *recording) rest(out *answer) error {
	for range len(r.messages) {
		if err := r.write(out, <-r.messages); err != nil {
			return err
		}
	}
	return nil
}

func (r *recording) write(out *answer, record []byte) error {
	_, err := out.Write(record)
	r.pending.Add(-int64(len(record)))
	return err
}

// parseRecording reads which streams; an unknown parameter is a mistake.
func parseRecording(query url.Values) (*recording, error) {
	r := &recording{kind: kindALS, messages: make(chan []byte, tapMessages)}
	for name := range query {
		value := query.Get(name)
		var err error
		switch name {
		case "kind":
			if r.kind = value; value != kindALS && value != kindStats {
				err = fmt.Errorf("%q: must be als or stats", value)
			}
		case "node":
			r.node = value
		case "log_name":
			r.logName = value
		case "for":
			if r.lasts, err = time.ParseDuration(value); err == nil && r.lasts <= 0 {
				err = fmt.Errorf("%q: must be above 0", value)
			}
		default:
			err = errors.New("unknown: use kind, node, log_name, for")
		}
		if err != nil {
			return nil, fmt.Errorf("parameter %q: %w", name, err)
		}
	}
	return r, nil
}
