package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"
	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/flagutil"
	"github.com/VictoriaMetrics/metrics"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/lockkeeper/lockkeeper/plugins/storage/victoria"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// aheadOfClock is how far in the future a record's time may be. One that is beyond has a wrong clock.
const aheadOfClock = 24 * time.Hour

// ingest makes rows of ExportLogsServiceRequests.
type ingest struct {
	retention time.Duration
	bounds    *byDay
	rows      sync.Pool // of *row
	days      *days
	counters
}

type counters struct {
	records, tooOld, misdated, cut, others, unstreamed *metrics.Counter
}

func newIngest(s victoria.Settings) *ingest {
	var retention flagutil.RetentionDuration
	_ = retention.Set(s.Retention) // Decode has done it before
	changed := func(what string) *metrics.Counter {
		return metrics.GetOrCreateCounter(fmt.Sprintf("lockkeeper_logs_changed_total{what=%q}", what))
	}
	i := &ingest{retention: retention.Duration(), bounds: newByDay(newBounds), days: &days{written: map[string]bool{}}, counters: counters{
		records:    metrics.GetOrCreateCounter("lockkeeper_logs_records_total"),
		tooOld:     metrics.GetOrCreateCounter(`lockkeeper_logs_dropped_total{reason="too_old"}`),
		misdated:   changed("time"),
		cut:        changed("cut"),
		others:     changed("field_names"),
		unstreamed: changed("streams"),
	}}
	return i
}

// insert puts one request into VictoriaLogs, where it is only in memory when insert returns. What was inserted before is
// stored twice.
func (i *ingest) insert(kind victoria.Kind, body []byte) error {
	if kind != victoria.OTLP {
		return sdk.Permanent(fmt.Errorf("unknown kind of request %d", kind))
	}
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		return sdk.Permanent(fmt.Errorf("OTLP logs: %w", err))
	}
	if err := writable(); err != nil {
		return err
	}
	r, _ := i.rows.Get().(*row)
	if r == nil {
		r = newRow()
	}
	defer i.rows.Put(r)
	r.bounds = nil // they may be forgotten meanwhile
	now := time.Now()
	batch := logstorage.GetLogRows(nil, nil, nil, nil, "")
	defer logstorage.PutLogRows(batch)
	for _, resource := range request.Logs().ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				at, ok := i.time(record, now)
				if !ok {
					continue
				}
				if day := unixDay(at); r.bounds == nil || r.day != day {
					r.bounds, r.day = i.bounds.at(day), day
				}
				streamed := r.write(resource.Resource().Attributes(), scope.Scope(), record)
				i.days.add(at)
				batch.MustAdd(logstorage.TenantID{}, at.UnixNano(), r.fields, streamed)
				i.count(r)
				if batch.NeedFlush() {
					new(vlstorage.Storage).MustAddRows(batch)
					batch.ResetKeepSettings()
				}
			}
		}
	}
	new(vlstorage.Storage).MustAddRows(batch)
	return nil
}

func (i *ingest) count(r *row) {
	i.records.Inc()
	for counter, happened := range map[*metrics.Counter]bool{i.cut: r.cut, i.others: len(r.others) > 0, i.unstreamed: r.unstreamed} {
		if happened {
			counter.Inc()
		}
	}
}

// time is when a record happened: its own time, else when it was observed, else now. Now too if that is far ahead of the clock.
// What is older than the retention is not stored.
func (i *ingest) time(record plog.LogRecord, now time.Time) (at time.Time, ok bool) {
	stamp := record.Timestamp()
	if stamp == 0 {
		stamp = record.ObservedTimestamp()
	}
	if stamp == 0 {
		return now, true
	}
	if stamp > pcommon.NewTimestampFromTime(now.Add(aheadOfClock)) {
		i.misdated.Inc()
		return now, true
	}
	at = stamp.AsTime()
	if now.Sub(at) >= i.retention {
		i.tooOld.Inc()
		return at, false
	}
	return at, true
}

const secondsOfDay = 86400

func unixDay(at time.Time) int64 { return at.Unix() / secondsOfDay }

// dayOf names the day, of which VictoriaLogs keeps the records by itself.
func dayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// days are those of which records may be in memory only.
type days struct {
	mu      sync.Mutex
	last    int64 // Unix day of the last record
	written map[string]bool
}

func (d *days) add(at time.Time) {
	day := unixDay(at)
	d.mu.Lock()
	defer d.mu.Unlock()
	if day != d.last || len(d.written) == 0 {
		d.last = day
		d.written[dayOf(at)] = true
	}
}

func (d *days) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.written))
}

// forget is called with days that have nothing in memory at this instant.
func (d *days) forget(written []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, day := range written {
		delete(d.written, day)
	}
	d.last = 0
}
