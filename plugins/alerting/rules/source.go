package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	maxAnswer    = 64 << 20               // bytes of an answer
	probeTimeout = 5 * time.Second        // for a query that costs nothing
	checkEvery   = 500 * time.Millisecond // while the source is away
)

// source is the storage: queries go to its Prometheus API, results to its remote write. It knows whether it is there.
type source struct {
	api     string // where query and label are
	write   string // empty: nothing takes results
	timeout time.Duration
	client  *http.Client
	metrics *metrics
	settled func(context.Context) bool // what it has taken before it was away can be queried

	checking sync.Mutex
	mu       sync.Mutex
	began    bool  // it was there once
	suspect  bool  // a query has failed and no other was answered since
	away     error // what check has found; nil: it is there
	warned   map[string]string
}

func newSource(s sdk.Source, timeout time.Duration, m *metrics) *source {
	return &source{
		api: s.QueryURL + "/api/v1", write: s.RemoteWriteURL, timeout: timeout, metrics: m, warned: map[string]string{},
		client: &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		}},
	}
}

func (s *source) close() { s.client.CloseIdleConnections() }

// refused is an answer of a source that is there and says no to this one query.
type refused struct{ reason string }

func (e *refused) Error() string { return e.reason }

// query is the rules.QueryFunc: an instant query. A source that is away is not asked.
func (s *source) query(ctx context.Context, query string, at time.Time) (promql.Vector, error) {
	if err := s.isAway(); err != nil {
		return nil, err
	}
	body, err := s.ask(ctx, query, at, s.timeout)
	if err != nil {
		return nil, err
	}
	return body.vector()
}

// ask runs an instant query and keeps account of who answers.
func (s *source) ask(ctx context.Context, query string, at time.Time, timeout time.Duration) (*answer, error) {
	form := url.Values{
		"query":   {query},
		"time":    {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)},
		"timeout": {timeout.String()},
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, http.MethodPost, s.api+"/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := s.do(request)
	if ctx.Err() != nil {
		return nil, promql.ErrQueryCanceled("the evaluation ends")
	}
	if limited.Err() != nil {
		err = fmt.Errorf("no answer within query_timeout, %v", timeout)
	}
	s.note(query, got, err)
	return got, err
}

// do sends a request to the Prometheus API and reads the answer. Errors do not have the URL, which may hold a secret.
func (s *source) do(request *http.Request) (*answer, error) {
	response, err := s.client.Do(request)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err
		}
		return nil, fmt.Errorf("the storage does not answer: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("the storage's answer broke off: %w", err)
	}
	if len(text) > maxAnswer {
		return nil, &refused{fmt.Sprintf("the answer has more than %d MiB: aggregate in the query", maxAnswer>>20)}
	}
	return readAnswer(text, response.Status)
}

func readAnswer(text []byte, status string) (*answer, error) {
	got := new(answer)
	if err := json.Unmarshal(text, got); err != nil || got.Status == "" {
		text = bytes.TrimSpace(text)
		return nil, fmt.Errorf("the storage answers %s and no Prometheus API: %.200q", status, text[:min(len(text), 200)])
	}
	if got.Status != "success" {
		return nil, &refused{fmt.Sprintf("the storage refuses the query: %s: %s", got.ErrorType, got.Error)}
	}
	return got, nil
}

// note remembers what an answer says of the source.
func (s *source) note(query string, got *answer, err error) {
	var no *refused
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.metrics.queries.WithLabelValues("answered").Inc()
	case errors.As(err, &no):
		s.metrics.queries.WithLabelValues("refused").Inc()
	default:
		s.metrics.queries.WithLabelValues("failed").Inc()
		s.suspect = true
		return
	}
	s.suspect = false
	if got == nil {
		return
	}
	told := got.warning()
	if told != "" {
		s.metrics.warnings.Inc()
	}
	if told != "" && s.warned[query] != told && len(s.warned) < 10_000 {
		s.warned[query] = told
		warn("the storage warns of %s: %s", query, told)
	}
}

// check finds out whether a source is there of which that is not known. One that was away, or was never asked, is there when it shows
// what it had taken before: rules would see nothing in what is not read in yet, and end their alerts.
func (s *source) check(ctx context.Context) {
	if !s.doubtful() || !s.checking.TryLock() {
		return
	}
	defer s.checking.Unlock()
	_, err := s.ask(ctx, "1", time.Now(), min(probeTimeout, s.timeout))
	var no *refused
	if errors.As(err, &no) {
		err = nil
	}
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	began, away := s.began, s.away
	s.mu.Unlock()
	settled := began && away == nil || err == nil && s.settled(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && settled:
		s.away, s.suspect, s.began = nil, false, true
	case err == nil && away != nil:
		s.away = errors.New("the storage answers, and does not show yet what it has taken before")
	default:
		s.away = err
	}
}

// wait returns when the source is there, or with an error when ctx ends.
func (s *source) wait(ctx context.Context) error {
	for s.check(ctx); s.doubtful(); s.check(ctx) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(checkEvery):
		}
	}
	return ctx.Err()
}

func (s *source) doubtful() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suspect || s.away != nil || !s.began
}

// isAway is the reason why the source is away, or nil.
func (s *source) isAway() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away
}
