package storage

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Bounds of what applications make series of, by their names.
const (
	maxLogged     = 1900 // label sets; the SDK merges those of a metric beyond 2,000
	maxLabel      = 128  // bytes of a label's value
	forgetsLogged = time.Hour
)

// accessLogs is the scope of records made of access logs: these are requests, and counted as such.
const accessLogs = "github.com/lockkeeper/lockkeeper/gateway/envoy"

// logged counts the records of applications that the queue has taken.
type logged struct {
	plugin   string // which has them
	max      int    // label sets
	mu       sync.Mutex
	series   map[loggedBy]*loggedSeries
	overflow int64
}

// loggedBy are the labels of a series.
type loggedBy struct {
	app, version, idc string
	severity          string // one of severities
}

type loggedSeries struct {
	labels  metric.MeasurementOption
	records int64
	shown   bool // as 0: a counter that begins with its first error would hide it from rate()
	last    time.Time
}

func newLogged(plugin string) *logged {
	return &logged{plugin: plugin, max: maxLogged, series: map[loggedBy]*loggedSeries{}}
}

// countedLogs is a logs exporter whose records are counted when it has taken them, so that one which is sent again counts once.
type countedLogs struct {
	exporter.Logs
	logged *logged
}

// ConsumeLogs implements consumer.Logs.
func (c countedLogs) ConsumeLogs(ctx context.Context, data plog.Logs) error {
	records := tally(data) // data is another's afterwards
	if err := c.Logs.ConsumeLogs(ctx, data); err != nil {
		return err
	}
	c.logged.add(records, time.Now())
	return nil
}

// tally counts the records of applications by their labels.
func tally(data plog.Logs) map[loggedBy]int64 {
	records := map[loggedBy]int64{}
	for _, resource := range data.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			if scope.Scope().Name() == accessLogs {
				continue
			}
			by := loggedBy{
				app:     label(resource.Resource(), "app", "service.name"),
				version: label(resource.Resource(), "version", "service.version"),
				idc:     label(resource.Resource(), "idc"),
			}
			for _, record := range scope.LogRecords().All() {
				by.severity = severity(record)
				records[by]++
			}
		}
	}
	return records
}

// label is the first of the attributes that is set, as text of its own.
func label(resource pcommon.Resource, names ...string) string {
	for _, name := range names {
		value, ok := resource.Attributes().Get(name)
		if !ok {
			continue
		}
		text := strings.ToValidUTF8(value.AsString(), "\uFFFD")
		if len(text) > maxLabel {
			end := maxLabel - len("…")
			for !utf8.RuneStart(text[end]) {
				end--
			}
			text = text[:end] + "…"
		}
		if text != "" {
			return strings.Clone(text)
		}
	}
	return "unknown"
}

// severity is the name of the record's range of severity numbers, or what its text says when it has no number.
func severity(record plog.LogRecord) string {
	names := [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
	if n := record.SeverityNumber(); n >= plog.SeverityNumberTrace && n <= plog.SeverityNumberFatal4 {
		return names[(n-plog.SeverityNumberTrace)/4]
	}
	text := strings.ToUpper(record.SeverityText())
	for _, name := range names {
		if text == name {
			return name
		}
	}
	switch text {
	case "WARNING":
		return "WARN"
	case "ERR", "SEVERE":
		return "ERROR"
	case "CRITICAL", "CRIT", "ALERT", "EMERGENCY", "EMERG", "PANIC":
		return "FATAL"
	case "INFORMATION", "INFORMATIONAL", "NOTICE":
		return "INFO"
	}
	return "unknown"
}

func (l *logged) add(records map[loggedBy]int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for by, n := range records {
		if l.series[by] == nil && len(l.series) >= l.max {
			l.overflow += n
			by = loggedBy{"other", "other", "other", by.severity}
		}
		s := l.series[by]
		if s == nil {
			s = l.begin(by)
		}
		s.records += n
		s.last = now
	}
}

func (l *logged) begin(by loggedBy) *loggedSeries {
	s := &loggedSeries{labels: metric.WithAttributeSet(attribute.NewSet(
		attribute.String("plugin", l.plugin), attribute.String("app", by.app), attribute.String("version", by.version),
		attribute.String("idc", by.idc), attribute.String("severity", by.severity),
	))}
	l.series[by] = s
	return s
}

// watch has the counts told until the registration ends.
func (l *logged) watch(meter metric.Meter) (metric.Registration, error) {
	records, err := meter.Int64ObservableCounter("lockkeeper_log_records_total",
		metric.WithDescription("Log records of applications that were taken for a storage plugin, by what the application says of itself."))
	if err != nil {
		return nil, err
	}
	overflow, err := meter.Int64ObservableCounter("lockkeeper_log_records_overflow_total",
		metric.WithDescription("Log records of applications counted as those of other, because there are too many label sets."))
	if err != nil {
		return nil, err
	}
	labels := metric.WithAttributes(attribute.String("plugin", l.plugin))
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		l.tell(time.Now(), func(labels metric.MeasurementOption, n int64) { o.ObserveInt64(records, n, labels) })
		l.mu.Lock()
		defer l.mu.Unlock()
		o.ObserveInt64(overflow, l.overflow, labels)
		return nil
	}, records, overflow)
}

// tell calls observe with each series, and forgets those that ended.
func (l *logged) tell(now time.Time, observe func(metric.MeasurementOption, int64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for by, s := range l.series {
		switch {
		case now.Sub(s.last) > forgetsLogged:
			delete(l.series, by)
		case s.shown:
			observe(s.labels, s.records)
		default:
			s.shown = true
			observe(s.labels, 0)
		}
	}
}
