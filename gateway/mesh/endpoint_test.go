package mesh

import (
	"fmt"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
)

// tryOf is a try of a host as Envoy's router logs it; without a code it was refused.
func tryOf(ip string, code uint32) *accesslogdatav3.HTTPAccessLogEntry {
	return request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.AccessLogType = accesslogdatav3.AccessLogType_UpstreamEnd
		e.CommonProperties.UpstreamRemoteAddress = socket(ip, 8080)
		if ip == "" {
			e.CommonProperties.UpstreamRemoteAddress = nil
		}
		if e.Response.ResponseCode.Value = code; code == 0 {
			e.Response.ResponseCode = nil
			e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true}
		}
	})
}

func TestTriesCountByEndpoint(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a := New(Options{MaxSeries: 5}, start)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web"))
	defer s.Close()
	add := func(entries ...*accesslogdatav3.HTTPAccessLogEntry) {
		t.Helper()
		if err := s.Add(message(t, entries...)); err != nil {
			t.Fatal(err)
		}
	}
	f := func(after time.Duration, want map[string]uint64) {
		t.Helper()
		series, counters := flushAll(t, a, start.Add(after))
		if len(series) > 0 {
			t.Errorf("tries were counted as requests: %+v", series)
		}
		got := map[string]uint64{}
		for _, c := range counters {
			l := Series{Labels: c.Labels}
			got[fmt.Sprint(c.Name[len("lockkeeper_endpoint_"):], " ", label(l, "endpoint"), " ", label(l, "response_code"), label(l, "response_flags"))] += uint64(c.Value)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after %v: got %v, want %v", after, got, want)
		}
	}
	add(tryOf("10.0.0.7", 200), tryOf("10.0.0.7", 503), tryOf("10.0.0.8", 0), tryOf("10.0.0.8", 0), tryOf("::1", 200))
	f(5*time.Second, map[string]uint64{
		"requests_total 10.0.0.7:8080 200-": 1, "requests_total 10.0.0.7:8080 503-": 1, "failures_total 10.0.0.7:8080 ": 1,
		"requests_total 10.0.0.8:8080 0UF": 2, "failures_total 10.0.0.8:8080 ": 2,
		"requests_total [::1]:8080 200-": 1, "failures_total [::1]:8080 ": 0,
	})
	add(tryOf("10.0.0.7", 200), tryOf("", 0))
	f(10*time.Second, map[string]uint64{
		"requests_total 10.0.0.7:8080 200-": 2, "requests_total unknown 0UF": 1, "failures_total unknown ": 1,
	})
	add(tryOf("10.0.0.9", 200), tryOf("10.0.0.9", 0)) // over the bound
	f(15*time.Second, map[string]uint64{
		"requests_total other 200-": 1, "requests_total other 0UF": 1, "failures_total other ": 1,
	})
	if got := a.Totals(); got.EndpointOverflow != 2 || got.All.Tries != 9 || got.All.Counted != 0 {
		t.Errorf("got %+v, want 2 tries over the bound of 9", got)
	}
	flushAll(t, a, start.Add(20*time.Minute))
	if _, counters := flushAll(t, a, start.Add(21*time.Minute)); len(counters) != 12 || !counters[0].Ended {
		t.Errorf("%d counters, want 12 that have ended", len(counters))
	}
	add(tryOf("10.0.0.9", 200)) // all is forgotten: there is room
	f(22*time.Minute, map[string]uint64{"requests_total 10.0.0.9:8080 200-": 1, "failures_total 10.0.0.9:8080 ": 0})
}
