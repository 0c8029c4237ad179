package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
)

// samplesPerWrite keeps a request far below what storages take.
const samplesPerWrite = 5_000

// results writes what rules find to the storage, at once: a rule knows whether its results were taken. They arrived when
// they can be queried, of which the heartbeat is the proof: see heartbeat.go.
type results struct {
	source   *source
	external labels.Labels

	mu   sync.Mutex
	lost error // why the last write failed; nil: it did not
}

// notWritten is the error of a rule whose results were not taken.
type notWritten struct{ error }

func (r *results) Appender(ctx context.Context) storage.Appender { return &appender{to: r, ctx: ctx} }

// failing is why the last write failed, or nil.
func (r *results) failing() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// appender collects the results of one rule. The manager calls none of the methods that are not here.
type appender struct {
	storage.Appender
	to      *results
	ctx     context.Context
	pending []prompb.TimeSeries
}

func (a *appender) SetOptions(*storage.AppendOptions) {}

func (a *appender) Append(_ storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	a.pending = append(a.pending, prompb.TimeSeries{
		Labels: prompb.FromLabels(withExternal(l, a.to.external), nil), Samples: []prompb.Sample{{Timestamp: t, Value: v}},
	})
	return 0, nil
}

// AppendHistogram is never reached: no answer with a native histogram gets that far.
func (a *appender) AppendHistogram(storage.SeriesRef, labels.Labels, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, errors.New("native histograms cannot be written")
}

func (a *appender) Rollback() error { a.pending = nil; return nil }

func (a *appender) Commit() error {
	for len(a.pending) > 0 {
		n := min(len(a.pending), samplesPerWrite)
		if err := a.to.send(a.ctx, a.pending[:n]); err != nil {
			a.to.source.metrics.lost.Add(float64(len(a.pending)))
			return notWritten{err}
		}
		a.to.source.metrics.written.Add(float64(n))
		a.pending = a.pending[n:]
	}
	return nil
}

func (r *results) send(ctx context.Context, samples []prompb.TimeSeries) error {
	err := r.source.store(ctx, &prompb.WriteRequest{Timeseries: samples})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = err
	return err
}

// store is a remote write request.
func (s *source) store(ctx context.Context, w *prompb.WriteRequest) error {
	if s.write == "" {
		return errors.New("the storage takes no remote write")
	}
	text, err := w.Marshal()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.write, bytes.NewReader(snappy.Encode(nil, text)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("Content-Encoding", "snappy")
	request.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	response, err := s.client.Do(request)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err
		}
		return fmt.Errorf("the storage does not take results: %w", err)
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the storage refuses results: %s: %s", response.Status, bytes.TrimSpace(said))
	}
	return nil
}

// withExternal is l and those of the external labels that it has not.
func withExternal(l, external labels.Labels) labels.Labels {
	if external.IsEmpty() {
		return l
	}
	b := labels.NewBuilder(l)
	external.Range(func(e labels.Label) {
		if !l.Has(e.Name) {
			b.Set(e.Name, e.Value)
		}
	})
	return b.Labels()
}
