package envoy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
)

// said writes metrics as lines: name, labels, value and age in seconds.
func said(metrics pmetric.Metrics, now time.Time) (lines []string) {
	for _, m := range metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		var points pmetric.NumberDataPointSlice
		if m.Type() == pmetric.MetricTypeSum {
			points = m.Sum().DataPoints()
		} else {
			points = m.Gauge().DataPoints()
		}
		for _, p := range points.All() {
			line := m.Name()
			for _, name := range []string{"node", "idc", "what", "gateway"} {
				if v, ok := p.Attributes().Get(name); ok {
					line += " " + v.Str()
				}
			}
			switch {
			case p.Flags().NoRecordedValue():
				line += " stale"
			case p.ValueType() == pmetric.NumberDataPointValueTypeInt:
				line += fmt.Sprintf(" %d", p.IntValue())
			default:
				line += fmt.Sprintf(" %v", p.DoubleValue())
			}
			lines = append(lines, fmt.Sprintf("%s %v", strings.TrimPrefix(line, "lockkeeper_"), now.Sub(p.Timestamp().AsTime()).Seconds()))
		}
	}
	return lines
}

func TestNodesAreReportedWhenTheyChangeAndEveryMinute(t *testing.T) {
	now := time.Unix(1700000000, 0)
	r := newNodeReports(now)
	f := func(after time.Duration, all map[string]*health, want ...string) {
		t.Helper()
		now = now.Add(after)
		var got []string
		require.NoError(t, r.export(points(all), now, "gw1", func(m pmetric.Metrics) error {
			got = append(got, said(m, now)...)
			return nil
		}))
		require.Equal(t, want, got)
	}
	n := &health{nodeCoverage: nodeCoverage{Node: "n", IDC: "idc1"}, hasALS: true, received: 5, present: true, alsKnown: true}
	all := map[string]*health{"n": n}
	f(5*time.Second, all, "als_received_total n idc1 gw1 0 5", "als_received_total n idc1 gw1 5 0", "telemetry_lost n idc1 als gw1 0 0")
	f(5*time.Second, all)
	n.hasWritten, n.written, n.Known, n.Ratio, n.hasStats = true, 70, true, 0.5, true
	n.thin = true
	f(5*time.Second, all, "als_written_total n idc1 gw1 70 0", "als_coverage_ratio n idc1 gw1 0.5 0", "telemetry_lost n idc1 coverage gw1 1 0", "telemetry_lost n idc1 stats gw1 0 0")
	n.present, n.received = false, 6 // the proxy ends: its counters stay for a while, its gauges do not
	f(5*time.Second, all, "als_received_total n idc1 gw1 6 0", "als_coverage_ratio n idc1 gw1 stale 0",
		"telemetry_lost n idc1 als gw1 stale 0", "telemetry_lost n idc1 coverage gw1 stale 0", "telemetry_lost n idc1 stats gw1 stale 0")
	f(time.Minute, all, "als_received_total n idc1 gw1 6 0", "als_written_total n idc1 gw1 70 0")
	f(5*time.Second, nil, "als_received_total n idc1 gw1 stale 0", "als_written_total n idc1 gw1 stale 0")
	f(time.Hour, nil)
}

func TestRefusedReportsComeAgainAndRequestsAreBounded(t *testing.T) {
	now := time.Now()
	r := newNodeReports(now)
	all := map[string]*health{}
	for i := range 10_000 {
		id := fmt.Sprintf("sidecar~10.0.%d.%d~%s.default~default.svc.cluster.local", i/250, i%250, strings.Repeat("x", 60))
		all[id] = &health{nodeCoverage: nodeCoverage{Node: id, IDC: "idc1", Ratio: 1, Known: true}, hasALS: true, hasStats: true, hasWritten: true, received: 1, present: true, alsKnown: true}
	}
	refused := errors.New("queue is full")
	require.ErrorIs(t, r.export(points(all), now, "gw1", func(pmetric.Metrics) error { return refused }), refused)
	count := 0
	require.NoError(t, r.export(points(all), now, "gw1", func(m pmetric.Metrics) error {
		count += m.DataPointCount()
		b, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(m)
		require.NoError(t, err)
		require.LessOrEqual(t, len(b), requestBytes)
		return nil
	}))
	require.Equal(t, 70_000, count) // six series, one of which begins with its zero
}

// What real streams make of it: a receiver, its own clock, and the stats of an Envoy that wrote more than was received.
func TestReceiverReportsItsNodes(t *testing.T) {
	var lines []string
	r, client := start(t, nil, nil)
	messages := recorded(t)
	require.NoError(t, send(t, client, messages))
	require.Eventually(t, func() bool { return r.aggregator.Totals().Streams == 0 }, 5*time.Second, time.Millisecond)
	var entries uint64
	for _, m := range messages {
		entries += uint64(len(m.GetHttpLogs().GetLogEntry()))
	}
	node := messages[0].GetIdentifier().GetNode().GetId()
	http, tcp := r.aggregator.Received(node)
	require.Equal(t, []uint64{entries, 0}, []uint64{http, tcp})

	now := time.Now()
	for i := range uint64(4) {
		r.coverage.sample(stats.Sample{Node: node, At: now.Add(time.Duration(i) * time.Second), Flushed: i * entries, HasFlushed: true})
	}
	all := r.coverage.judge(r.aggregator.Sources(), []stats.NodeStatus{{ID: node, IDC: "idc1", Last: now}}, now)
	require.NoError(t, r.reports.export(points(all), now, "gw1", func(m pmetric.Metrics) error {
		lines = said(m, now)
		return nil
	}))
	at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "als_coverage_ratio "+node) })
	require.GreaterOrEqual(t, at, 0, lines)
	require.Contains(t, lines[at], " gw1 0 ", "all was received before the first sample, and nothing since")
	require.Equal(t, []nodeCoverage{}, append([]nodeCoverage{}, r.coverages(now)...), "no stream is open")
}
