package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// history is what the manager restores its alerts' state from: the newest sample of each series, by an instant query, so that
// the source needs no remote read.
type history struct {
	source   *source
	external labels.Labels

	storage.LabelQuerier // nil: never asked
	from, to             int64
}

func (h history) Querier(from, to int64) (storage.Querier, error) {
	h.from, h.to = from, to
	return h, nil
}

func (h history) Close() error { return nil }

// Select waits for a source that does not answer: what is not restored now never is.
func (h history) Select(ctx context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var selector []string
	for _, m := range matchers {
		selector = append(selector, m.String())
	}
	query := fmt.Sprintf("{%s}[%dms]", strings.Join(selector, ","), h.to-h.from)
	for {
		got, err := h.source.ask(ctx, query, time.UnixMilli(h.to), h.source.timeout)
		var found []promql.Series
		if err == nil {
			found, err = got.newest()
		}
		var no *refused
		switch {
		case err == nil:
			return &seriesSet{series: bothWays(found, h.external)}
		case errors.As(err, &no) || ctx.Err() != nil:
			return storage.ErrSeriesSet(err)
		}
		if err := h.source.wait(ctx); err != nil {
			return storage.ErrSeriesSet(err)
		}
	}
}

// bothWays has each series as it is and without the external labels: a series that is written has them, and whether its alert
// had them before nobody can tell.
func bothWays(found []promql.Series, external labels.Labels) []promql.Series {
	if external.IsEmpty() {
		return found
	}
	for _, one := range found {
		without := labels.NewBuilder(one.Metric)
		external.Range(func(l labels.Label) {
			if one.Metric.Get(l.Name) == l.Value {
				without.Del(l.Name)
			}
		})
		one.Metric = without.Labels()
		found = append(found, one)
	}
	return found
}

type seriesSet struct {
	series []promql.Series
	next   int
}

func (s *seriesSet) Next() bool                        { s.next++; return s.next <= len(s.series) }
func (s *seriesSet) At() storage.Series                { return promql.NewStorageSeries(s.series[s.next-1]) }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }
