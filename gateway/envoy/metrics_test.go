package envoy

import (
	"slices"
	"strings"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// sums returns the sum of the points of each counter.
func sums(sink *consumertest.MetricsSink) map[string]int64 {
	total := map[string]int64{}
	for _, m := range sink.AllMetrics() {
		for _, metric := range m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			for _, p := range metric.Sum().DataPoints().All() {
				total[metric.Name()] += p.IntValue()
			}
		}
	}
	return total
}

func TestConnections(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	r, client := start(t, sink, nil)
	m := proto.CloneOf(recorded(t)[0])
	m.LogEntries = &accesslogv3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &accesslogv3.StreamAccessLogsMessage_TCPAccessLogEntries{
		LogEntry: []*accesslogdatav3.TCPAccessLogEntry{{
			CommonProperties:     &accesslogdatav3.AccessLogCommon{AccessLogType: accesslogdatav3.AccessLogType_TcpConnectionEnd},
			ConnectionProperties: &accesslogdatav3.ConnectionProperties{ReceivedBytes: 3, SentBytes: 4},
		}},
	}}
	require.NoError(t, send(t, client, []*accesslogv3.StreamAccessLogsMessage{m}))
	require.Eventually(t, func() bool { return r.aggregator.Totals().Streams == 0 }, 5*time.Second, time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))
	require.Equal(t, map[string]int64{
		"istio_tcp_connections_opened_total": 1, "istio_tcp_connections_closed_total": 1,
		"istio_tcp_received_bytes_total": 3, "istio_tcp_sent_bytes_total": 4, "lockkeeper_als_received_total": 1,
	}, sums(sink))
}

func TestCountersStayBelowTheirBoundAndStartAtZero(t *testing.T) {
	r, _ := start(t, consumertest.NewNop(), nil)
	labels := []mesh.Label{{Name: "endpoint", Value: strings.Repeat("v", 40)}}
	batch := []mesh.Counter{
		{Name: "lockkeeper_a_total", Labels: labels, Start: time.Unix(1, 0), New: true, Value: 7},
		{Name: "lockkeeper_b", Labels: labels, Gauge: true, Value: .5},
		{Name: "lockkeeper_a_total", Labels: labels, Start: time.Unix(1, 0), Value: 8},
	}
	metrics := r.counters(batch, time.Unix(2, 0))
	families := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	require.Equal(t, 2, families.Len())
	var values []int64
	for _, p := range families.At(0).Sum().DataPoints().All() {
		values = append(values, p.IntValue())
	}
	require.Equal(t, []int64{0, 7, 8}, values)
	require.InDelta(t, .5, families.At(1).Gauge().DataPoints().At(0).DoubleValue(), 0)
	b, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), counterWeight(&batch[0])+counterWeight(&batch[1])+counterWeight(&batch[2])+256)
}

func TestTheEndOfASeriesHasNoValue(t *testing.T) {
	r, _ := start(t, consumertest.NewNop(), nil)
	now := time.Unix(100, 0)
	batch := []mesh.Series{{Ended: true, Requests: 3}, {Requests: 4}, {TCP: true, Ended: true, Requests: 5}}
	ended := map[string]int{}
	check := func(name string, flags pmetric.DataPointFlags, at pcommon.Timestamp) {
		require.Equal(t, flags.NoRecordedValue(), at.AsTime().Before(now), "an end is before what may follow")
		if flags.NoRecordedValue() {
			ended[name]++
		}
	}
	counters := []mesh.Counter{{Name: "lockkeeper_a_total", Ended: true}, {Name: "lockkeeper_b", Gauge: true, Ended: true}, {Name: "lockkeeper_a_total"}}
	for _, metrics := range []pmetric.Metrics{r.metrics(batch, now), r.counters(counters, now)} {
		for _, family := range metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			switch family.Type() {
			case pmetric.MetricTypeSum:
				for _, p := range family.Sum().DataPoints().All() {
					check(family.Name(), p.Flags(), p.Timestamp())
				}
			case pmetric.MetricTypeGauge:
				for _, p := range family.Gauge().DataPoints().All() {
					check(family.Name(), p.Flags(), p.Timestamp())
				}
			default:
				for _, p := range family.Histogram().DataPoints().All() {
					check(family.Name(), p.Flags(), p.Timestamp())
				}
			}
		}
	}
	require.Equal(t, map[string]int{
		"istio_requests_total": 1, "istio_request_duration_milliseconds": 1, "istio_request_bytes": 1, "istio_response_bytes": 1,
		"istio_tcp_connections_opened_total": 1, "istio_tcp_connections_closed_total": 1, "istio_tcp_received_bytes_total": 1, "istio_tcp_sent_bytes_total": 1,
		"lockkeeper_a_total": 1, "lockkeeper_b": 1,
	}, ended)
}

func TestWhereRequestsComeFrom(t *testing.T) {
	failed := recorded(t)[:1]
	for _, e := range failed[0].GetHttpLogs().GetLogEntry() {
		e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true}
	}
	f := func(change func(*Config), want ...string) {
		t.Helper()
		sink := &consumertest.MetricsSink{}
		r, client := start(t, sink, change)
		require.NoError(t, send(t, client, failed))
		require.NoError(t, r.Shutdown(t.Context()))
		var names []string
		for _, m := range sink.AllMetrics() {
			for _, family := range m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
				if !slices.Contains(names, family.Name()) && !strings.HasPrefix(family.Name(), "lockkeeper_als_") {
					names = append(names, family.Name())
				}
			}
		}
		require.Equal(t, want, names)
	}
	f(func(c *Config) { c.RequestsFrom = "stats" }, "lockkeeper_response_flags_total")
	f(func(c *Config) { c.MetricPrefix = "lk_" }, "lk_istio_requests_total", "lk_istio_request_duration_milliseconds",
		"lk_istio_request_bytes", "lk_istio_response_bytes", "lockkeeper_response_flags_total")
}
