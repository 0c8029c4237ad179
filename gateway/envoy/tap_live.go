package envoy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxLive is how many may tail at once, and how many may record.
const maxLive = 8

// liveWrite is how long a client may take to read what is written to it.
const liveWrite = 10 * time.Second

// live are the HTTP answers of one kind that go on until their client has enough.
type live struct {
	what    string
	dropped atomic.Int64 // by clients that read slowly
	refused atomic.Int64

	mu   sync.Mutex
	open int
	done chan struct{} // closed by close
	over bool
}

func newLive(what string) *live { return &live{what: what, done: make(chan struct{})} }

// enter lets one more client in. leave must follow unless there is an error.
func (l *live) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
		return errors.New("the gateway is stopping")
	case l.open >= maxLive:
		l.refused.Add(1)
		return fmt.Errorf("%d clients %s already: end one of them", maxLive, l.what)
	}
	l.open++
	return nil
}

func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// close ends all answers, without waiting for their clients.
func (l *live) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		close(l.done)
	}
}

// answer writes to a client that may be slow. Its server's write timeout is for answers that end by themselves: here the
// client has liveWrite for each write.
type answer struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newAnswer(w http.ResponseWriter, contentType string) *answer {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	return &answer{w: w, control: http.NewResponseController(w)}
}

// extend must be called at least every liveWrite: HTTP/2 ends an answer whose time is over even while nothing is written.
func (a *answer) extend() {
	_ = a.control.SetWriteDeadline(time.Now().Add(liveWrite)) // a server that cannot has its own
}

func (a *answer) Write(b []byte) (int, error) {
	a.extend()
	return a.w.Write(b)
}

func (a *answer) flush() error {
	a.extend()
	return a.control.Flush()
}

// refuseRequest answers in the form of Prometheus's HTTP API.
func refuseRequest(w http.ResponseWriter, code int, err error) {
	kind := "bad_data"
	if code == http.StatusServiceUnavailable {
		kind = "unavailable"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": err.Error()})
}
