package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// logsOf are records of a resource, of these severities.
func logsOf(resource map[string]any, scope string, severities ...any) plog.Logs {
	data := plog.NewLogs()
	r := data.ResourceLogs().AppendEmpty()
	_ = r.Resource().Attributes().FromRaw(resource)
	s := r.ScopeLogs().AppendEmpty()
	s.Scope().SetName(scope)
	for _, severity := range severities {
		record := s.LogRecords().AppendEmpty()
		switch severity := severity.(type) {
		case plog.SeverityNumber:
			record.SetSeverityNumber(severity)
		case string:
			record.SetSeverityText(severity)
		}
	}
	return data
}

func TestTallyOfLogs(t *testing.T) {
	f := func(data plog.Logs, want map[loggedBy]int64) {
		t.Helper()
		require.Equal(t, want, tally(data))
	}
	// numbers, each of a range
	f(logsOf(map[string]any{"app": "cart", "version": "v2", "idc": "idc1", "service.name": "x"}, "", plog.SeverityNumberError, plog.SeverityNumberError4, plog.SeverityNumberInfo2,
		plog.SeverityNumberTrace, plog.SeverityNumberDebug4, plog.SeverityNumberWarn, plog.SeverityNumberFatal4),
		map[loggedBy]int64{
			{"cart", "v2", "idc1", "ERROR"}: 2, {"cart", "v2", "idc1", "INFO"}: 1, {"cart", "v2", "idc1", "TRACE"}: 1,
			{"cart", "v2", "idc1", "DEBUG"}: 1, {"cart", "v2", "idc1", "WARN"}: 1, {"cart", "v2", "idc1", "FATAL"}: 1,
		})
	// texts
	f(logsOf(map[string]any{"service.name": "cart", "service.version": 7}, "", "error", "SEVERE", "Err", "warning", "critical", "notice", "verbose", ""),
		map[loggedBy]int64{
			{"cart", "7", "unknown", "ERROR"}: 3, {"cart", "7", "unknown", "WARN"}: 1, {"cart", "7", "unknown", "FATAL"}: 1,
			{"cart", "7", "unknown", "INFO"}: 1, {"cart", "7", "unknown", "unknown"}: 2,
		})
	// numbers that are none, and a text beside
	f(logsOf(map[string]any{"app": ""}, "", plog.SeverityNumber(25), plog.SeverityNumber(-1)), map[loggedBy]int64{{"unknown", "unknown", "unknown", "unknown"}: 2})
	// access logs are requests
	f(logsOf(map[string]any{"app": "cart"}, accessLogs, plog.SeverityNumberError), map[loggedBy]int64{})
	f(plog.NewLogs(), map[loggedBy]int64{})
	// what is no text, and what is too long
	f(logsOf(map[string]any{"app": "a\xffb\"\n{}", "version": strings.Repeat("ü", 100)}, "", "ERROR"),
		map[loggedBy]int64{{"a\uFFFDb\"\n{}", strings.Repeat("ü", 62) + "…", "unknown", "ERROR"}: 1})
}

func FuzzLoggedLabel(f *testing.F) {
	f.Add("cart")
	f.Add("\xff\xfe")
	f.Add(strings.Repeat("\x80", 200))
	f.Add(strings.Repeat("𝄞", 50))
	f.Fuzz(func(t *testing.T, name string) {
		for by := range tally(logsOf(map[string]any{"app": name}, "", name)) {
			if by.app == "" || len(by.app) > maxLabel || !utf8.ValidString(by.app) {
				t.Errorf("%q becomes %q", name, by.app)
			}
		}
	})
}

// seen is what a callback tells, by app and severity.
func seen(t *testing.T, l *logged, now time.Time) map[string]int64 {
	t.Helper()
	told := map[string]int64{}
	l.tell(now, func(labels metric.MeasurementOption, n int64) {
		set := metric.NewObserveConfig([]metric.ObserveOption{labels}).Attributes()
		app, _ := set.Value("app")
		severity, _ := set.Value("severity")
		told[app.AsString()+" "+severity.AsString()] = n
	})
	return told
}

// A series is first told as 0, so that its first records are an increase; one without records is forgotten; there are only so many.
func TestLoggedSeries(t *testing.T) {
	l, now := newLogged("x"), time.Now()
	l.max = 3
	by := func(app, severity string) map[loggedBy]int64 {
		return map[loggedBy]int64{{app, "v1", "idc1", severity}: 5}
	}
	l.add(by("cart", "ERROR"), now)
	require.Equal(t, map[string]int64{"cart ERROR": 0}, seen(t, l, now))
	l.add(by("cart", "ERROR"), now)
	require.Equal(t, map[string]int64{"cart ERROR": 10}, seen(t, l, now))

	for i := range 4 {
		l.add(by(fmt.Sprint("app", i), "INFO"), now.Add(time.Minute))
	}
	l.add(by("more", "ERROR"), now.Add(time.Minute))
	l.add(by("cart", "ERROR"), now.Add(time.Minute))
	seen(t, l, now.Add(time.Minute))
	require.Equal(t, map[string]int64{"cart ERROR": 15, "app0 INFO": 5, "app1 INFO": 5, "other INFO": 10, "other ERROR": 5}, seen(t, l, now.Add(time.Minute)))
	require.EqualValues(t, 15, l.overflow)

	l.add(by("cart", "ERROR"), now.Add(forgetsLogged))
	later := now.Add(forgetsLogged + 2*time.Minute)
	require.Equal(t, map[string]int64{"cart ERROR": 20}, seen(t, l, later))
	l.add(by("app3", "INFO"), later)
	require.Equal(t, map[string]int64{"cart ERROR": 20, "app3 INFO": 0}, seen(t, l, later), "there is room again")
}

// refusing is an exporter that does not take what it is given.
type refusing struct{ exporter.Logs }

func (refusing) ConsumeLogs(context.Context, plog.Logs) error { return errors.New("queue is full") }

// What is refused comes again: it counts when it is taken.
func TestOnlyTakenLogsAreCounted(t *testing.T) {
	l := newLogged("x")
	require.Error(t, countedLogs{refusing{}, l}.ConsumeLogs(t.Context(), logsOf(nil, "", "ERROR")))
	require.Empty(t, l.series)
}

func TestLogsAreCounted(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := exportertest.NewNopSettings(component.MustNewType("plugin"))
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	for _, queue := range []string{`{}`, `{batch: {}}`} {
		cfg, err := load(t, `{plugin: x, sending_queue: `+queue+`}`)
		require.NoError(t, err)
		e, err := NewFactory().CreateLogs(t.Context(), set, cfg)
		require.NoError(t, err)
		require.NoError(t, e.Start(t.Context(), host{conn: servePlugin(t, sdk.Storage{WriteLogs: func(context.Context, sdk.Logs) error { return nil }})}))
		for want := range 2 { // first the zero
			require.NoError(t, e.ConsumeLogs(t.Context(), logsOf(map[string]any{"app": "cart", "version": "v2", "idc": "idc1"}, "", "ERROR")))
			counted, err := telemetry.GetMetric("lockkeeper_log_records_total")
			require.NoError(t, err)
			points := counted.Data.(metricdata.Sum[int64]).DataPoints
			require.Len(t, points, 1)
			require.EqualValues(t, 2*want, points[0].Value)
			labels := map[string]string{}
			for _, label := range points[0].Attributes.ToSlice() {
				labels[string(label.Key)] = label.Value.AsString()
			}
			require.True(t, maps.Equal(map[string]string{"plugin": "x", "app": "cart", "version": "v2", "idc": "idc1", "severity": "ERROR"}, labels), labels)
		}
		overflow, err := telemetry.GetMetric("lockkeeper_log_records_overflow_total")
		require.NoError(t, err)
		require.EqualValues(t, 0, overflow.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		require.NoError(t, e.Shutdown(t.Context()))
	}
}
