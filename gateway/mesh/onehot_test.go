package mesh

import (
	"fmt"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
)

func TestFlagsCountOneByOne(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a := New(Options{}, start)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web", "version", "v1"))
	defer s.Close()
	failed := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true, UpstreamRetryLimitExceeded: true}
	})
	cut := connectionEntry("a", ended, start, 1, 1)
	cut.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{DurationTimeout: true}
	for _, m := range [][]byte{message(t, request(nil), failed, failed), tcpMessage(t, cut)} {
		if err := s.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	_, counters := flushAll(t, a, start.Add(5*time.Second))
	got := map[string]float64{}
	for _, c := range counters {
		l := Series{Labels: c.Labels}
		got[label(l, "flag")+" "+label(l, "request_protocol")+" "+label(l, "source_app")+" "+label(l, "destination_service")] = c.Value
		if !c.New || !c.Start.Equal(start) || c.Name != "lockkeeper_response_flags_total" {
			t.Errorf("got %+v, want a new counter since the start", c)
		}
	}
	want := map[string]float64{
		"UF http web reviews.default.svc.cluster.local": 2, "URX http web reviews.default.svc.cluster.local": 2,
		"DT tcp web db.default.svc.cluster.local": 1,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	flushAll(t, a, start.Add(20*time.Minute))
	flushAll(t, a, start.Add(21*time.Minute))
	if len(a.edges) != 0 || len(a.counters) != 0 || a.flagCounters != 0 {
		t.Errorf("%d edges, %d counters, %d of flags are left after the idle time", len(a.edges), len(a.counters), a.flagCounters)
	}
}

func TestFlagsAndEdgesBeyondTheBoundAreOther(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a := New(Options{MaxSeries: 3}, start)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x"))
	defer s.Close()
	var entries []*accesslogdatav3.HTTPAccessLogEntry
	for i := range 10 {
		entries = append(entries, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
			e.CommonProperties.UpstreamCluster = fmt.Sprintf("outbound|80||s%d.default.svc.cluster.local", i)
			e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{NoHealthyUpstream: true, FaultInjected: i < 2}
		}))
	}
	if err := s.Add(message(t, entries...)); err != nil {
		t.Fatal(err)
	}
	_, counters := flushAll(t, a, start.Add(5*time.Second))
	sum := map[string]float64{}
	for _, c := range counters {
		sum[label(Series{Labels: c.Labels}, "flag")] += c.Value
	}
	if sum["UH"] != 10 || sum["FI"] != 2 || len(counters) > 5 {
		t.Errorf("%v in %d counters, want all of them in few", sum, len(counters))
	}
	var requests uint64
	edges := a.Edges(start.Add(5 * time.Second))
	for _, e := range edges {
		requests += e.Requests
	}
	if requests != 10 || len(edges) > 4 {
		t.Errorf("%d requests on %d edges, want 10 on few", requests, len(edges))
	}
	if a.Totals().FlagOverflow == 0 {
		t.Error("no overflow was counted")
	}
}
