package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	sdktest.Process(t, storagetest.Build(t), map[string]any{"data_directory": t.TempDir()})
}

// One life of the process answers all questions about what a request becomes.
func TestWhatARequestBecomes(t *testing.T) {
	p := start(t, t.TempDir())
	now := time.Now()
	m := pmetric.NewMetrics()
	resource := m.ResourceMetrics().AppendEmpty()
	_ = resource.Resource().Attributes().FromRaw(map[string]any{
		"service.name": "gateway", "service.instance.id": "gw-1", "k8s.pod.name": "gw-0", "http.route": "resource",
		"server.address": "localhost", "server.port": 8888, "url.scheme": "http",
	})
	scope := resource.ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("some.library")
	add := func(name string) pmetric.Metric {
		metric := scope.Metrics().AppendEmpty()
		metric.SetName(name)
		metric.SetUnit("ms")
		return metric
	}
	point := add("istio_requests_total").SetEmptySum().DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(now))
	point.SetIntValue(7)
	_ = point.Attributes().FromRaw(map[string]any{"reporter": "source", "http.route": "/x", "empty": "", "number": 5, "yes": true})
	dotted := add("http.server.active-requests").SetEmptyGauge().DataPoints().AppendEmpty()
	dotted.SetTimestamp(pcommon.NewTimestampFromTime(now))
	dotted.SetDoubleValue(2.5)
	histogram := add("istio_request_duration_milliseconds").SetEmptyHistogram().DataPoints().AppendEmpty()
	histogram.SetTimestamp(pcommon.NewTimestampFromTime(now))
	histogram.SetCount(6)
	histogram.SetSum(42.5)
	histogram.ExplicitBounds().FromRaw([]float64{0.5, 1, 5})
	histogram.BucketCounts().FromRaw([]uint64{1, 2, 0, 3})
	p.mustExport(m)

	common := map[string]string{"job": "gateway", "instance": "gw-1", "k8s_pod_name": "gw-0", "http_route": "resource"}
	f := func(query string, value float64, more map[string]string) {
		t.Helper()
		p.eventually(query, value)
		labels := p.ask(query)[0].labels
		want := maps.Clone(common)
		maps.Copy(want, more)
		if !maps.Equal(labels, want) {
			t.Errorf("%s: labels %v, want %v", query, labels, want)
		}
	}
	// names stay; attributes of resource and point become labels, the point's first; the scope does not
	f(`istio_requests_total`, 7, map[string]string{"__name__": "istio_requests_total", "reporter": "source", "http_route": "/x", "number": "5", "yes": "true"})
	// what Prometheus does not allow in a name becomes _
	f(`http_server_active_requests`, 2.5, map[string]string{"__name__": "http_server_active_requests"})
	// a histogram becomes _count, _sum and cumulative _bucket
	f(`istio_request_duration_milliseconds_count`, 6, map[string]string{"__name__": "istio_request_duration_milliseconds_count"})
	f(`istio_request_duration_milliseconds_sum`, 42.5, map[string]string{"__name__": "istio_request_duration_milliseconds_sum"})
	f(`istio_request_duration_milliseconds_bucket{le="1"}`, 3, map[string]string{"__name__": "istio_request_duration_milliseconds_bucket", "le": "1"})
	f(`istio_request_duration_milliseconds_bucket{le="+Inf"}`, 6, map[string]string{"__name__": "istio_request_duration_milliseconds_bucket", "le": "+Inf"})
	p.eventually(`count({__name__=~".+"})`, 8)
	if metadata := p.Get("/api/v1/metadata"); !strings.Contains(string(metadata), `"istio_request_duration_milliseconds": [{"type":"histogram"`) {
		t.Errorf("metadata: %s", metadata)
	}
}

func TestStaleMarkerEndsASeries(t *testing.T) {
	p := start(t, t.TempDir())
	now := time.Now()
	p.mustExport(counter("ends_total", now.Add(-3*time.Second), 1, nil))
	p.eventually(`ends_total`, 1)
	stale := counter("ends_total", now.Add(-time.Second), 0, nil)
	stale.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).
		SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	p.mustExport(stale)
	p.eventually(`count(ends_total) or vector(0)`, 0)
	p.eventually(`count_over_time(ends_total[1m])`, 1)
}

// Every kind of series ends with its marker: a query finds neither zero nor the last value.
func TestStaleMarkersOfEveryKind(t *testing.T) {
	p := start(t, t.TempDir())
	now := time.Now()
	every := func(at time.Time, flags pmetric.DataPointFlags) pmetric.Metrics {
		m := pmetric.NewMetrics()
		metrics := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
		has := !flags.NoRecordedValue()
		stamp := pcommon.NewTimestampFromTime(at)
		gauge := metrics.AppendEmpty()
		gauge.SetName("envoy_server_live")
		g := gauge.SetEmptyGauge().DataPoints().AppendEmpty()
		g.SetTimestamp(stamp)
		g.SetFlags(flags)
		histogram := metrics.AppendEmpty()
		histogram.SetName("envoy_cluster_upstream_rq_time")
		h := histogram.SetEmptyHistogram().DataPoints().AppendEmpty()
		h.SetTimestamp(stamp)
		h.SetFlags(flags) // without a sum, as the Collector's Prometheus receiver ends one
		h.ExplicitBounds().FromRaw([]float64{1, 5})
		h.BucketCounts().FromRaw([]uint64{0, 0, 0})
		summary := metrics.AppendEmpty()
		summary.SetName("envoy_listener_connection_length_ms")
		s := summary.SetEmptySummary().DataPoints().AppendEmpty()
		s.SetTimestamp(stamp)
		s.SetFlags(flags)
		q := s.QuantileValues().AppendEmpty()
		q.SetQuantile(0.5)
		if has {
			g.SetDoubleValue(1)
			h.SetCount(3)
			h.SetSum(7)
			h.BucketCounts().FromRaw([]uint64{1, 1, 1})
			s.SetCount(3)
			s.SetSum(7)
			q.SetValue(2)
		}
		return m
	}
	p.mustExport(every(now.Add(-3*time.Second), pmetric.DefaultDataPointFlags))
	p.eventually(`count({__name__=~"envoy_.+"})`, 1+5+3)
	p.mustExport(every(now.Add(-time.Second), pmetric.DefaultDataPointFlags.WithNoRecordedValue(true)))
	p.eventually(`count({__name__=~"envoy_.+"}) or vector(0)`, 0)
	p.eventually(`sum(count_over_time({__name__=~"envoy_.+"}[1m]))`, 1+5+3)
}

// A query that finds nothing does not hide what is written after it.
func TestNewNamesAreVisibleAtOnce(t *testing.T) {
	p := start(t, t.TempDir())
	p.mustExport(counter("other_total", time.Now(), 1, nil))
	p.eventually(`other_total`, 1)
	for range 3 {
		p.eventually(`count(fresh_total) or vector(0)`, 0)
	}
	p.mustExport(counter("fresh_total", time.Now(), 1, nil))
	written := time.Now()
	p.eventually(`fresh_total`, 1)
	if took := time.Since(written); took > 6*time.Second {
		t.Errorf("visible after %v", took)
	}
}

// Delivery is at least once: the same request again changes nothing, before and after a flush to disk.
func TestTheSameSampleTwiceIsOneSample(t *testing.T) {
	directory := t.TempDir()
	p := start(t, directory)
	began := time.Now().Add(-time.Minute)
	var requests []pmetric.Metrics
	for i := range 10 {
		requests = append(requests, counter("twice_total", began.Add(time.Duration(i)*5*time.Second), float64(i), nil))
	}
	send := func() {
		for _, request := range slices.Concat(requests, requests) {
			p.mustExport(request)
		}
		p.eventually(`count_over_time(twice_total[10m])`, 10)
		p.eventually(`sum_over_time(twice_total[10m])`, 45)
	}
	send()
	p.Stop()
	p = start(t, directory)
	p.eventually(`count_over_time(twice_total[10m])`, 10)
	send()
}

func TestGarbageIsRefusedForGood(t *testing.T) {
	p := start(t, t.TempDir())
	if err := p.Export(t.Context(), storagetest.ExportMetrics, []byte("garbage")); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v", err)
	}
	if text := string(p.Get("/api/v1/query?query=1")); !strings.Contains(text, "success") {
		t.Errorf("after it: %s", text)
	}
}
