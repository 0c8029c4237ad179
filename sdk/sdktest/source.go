package sdktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// source is the Prometheus API that alerting plugins are checked with: each instant query has one sample, of the
// value 1. Remote write is taken and forgotten.
type source struct {
	url    string
	asked  atomic.Int64 // queries so far
	server *http.Server
	served chan error
}

// sourceURL is the base URL of the session's source, which the first use starts.
func (s *session) sourceURL() (string, error) {
	if s.source != nil {
		return s.source.url, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	answers := http.NewServeMux()
	s.source = &source{
		url:    "http://" + listener.Addr().String(),
		server: &http.Server{Handler: answers, ReadHeaderTimeout: answerWithin},
		served: make(chan error, 1),
	}
	answers.HandleFunc("/api/v1/query", s.source.answer)
	answers.HandleFunc("/api/v1/write", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	answers.HandleFunc("/nonsense/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>not Prometheus</html>") })
	go func() { s.source.served <- s.source.server.Serve(listener) }()
	return s.source.url, nil
}

// answer has no history: a range, such as the one by which rules find their state again, is empty.
func (s *source) answer(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(strings.TrimSpace(r.FormValue("query")), "]") {
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
		return
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"conformance"},"value":[%d,"1"]}]}}`, time.Now().Unix())
}

func (s *source) close() error {
	err := s.server.Shutdown(context.Background())
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
