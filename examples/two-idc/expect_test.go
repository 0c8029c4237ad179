package main

import (
	"slices"
	"strings"
	"testing"
)

func exampleCaller() *caller {
	dc := twoIDCs()[0]
	return &caller{from: dc.callers[1], to: dc.servers[0]}
}

func trialNamed(t *testing.T, name string) trial {
	t.Helper()
	for _, tr := range append(servedTrials(), failedTrials()...) {
		if tr.name == name {
			return tr
		}
	}
	t.Fatalf("no trial %q", name)
	return trial{}
}

func TestExpect(t *testing.T) {
	f := func(name string, id identity, want map[string]tally) {
		t.Helper()
		got := newExpectation(id)
		got.add(exampleCaller(), trialNamed(t, name))
		for metric, tally := range want {
			for _, d := range tally.differences(got.want[metric]) {
				t.Errorf("%s: %s: %v", name, metric, d)
			}
		}
	}
	known := func(reporter, protocol string, rest ...string) series {
		return seriesOf(append([]string{reporter, "idc1", "frontend-v1", "frontend", "v1", "backend-v1", "backend", "v1", serviceHost, protocol}, rest...)...)
	}
	unknown := func(code, flags string) series {
		return seriesOf("source", "idc1", "frontend-v1", "frontend", "v1", "unknown", "unknown", "unknown", serviceHost, "http", code, flags, "")
	}
	hops := func(sent, received float64) tally {
		all := tally{seriesOf("lockkeeper_edge_sent_total", "frontend-v1", "backend-v1", "idc1", "idc1"): sent}
		if received > 0 {
			all[seriesOf("lockkeeper_edge_received_total", "frontend-v1", "backend-v1", "idc1", "idc1")] = received
		}
		return all
	}
	tries := func(requests, failures float64, cluster, endpoint string) tally {
		all := tally{seriesOf("lockkeeper_endpoint_requests_total", "idc1", "frontend-v1", cluster, endpoint): requests}
		if failures > 0 {
			all[seriesOf("lockkeeper_endpoint_failures_total", "idc1", "frontend-v1", cluster, endpoint)] = failures
		}
		return all
	}

	// Both sides report what was served.
	f("404", tagged, map[string]tally{
		requests:  {known("source", "http", "404", "-", ""): 1, known("destination", "http", "404", "-", ""): 1},
		endpoints: tries(1, 0, "outbound|9080|v1|"+serviceHost, "127.1.0.21:15006"),
		loss:      hops(1, 1),
	})
	// The status of a gRPC call has a label of its own.
	f("gRPC NotFound in trailers", tagged, map[string]tally{
		requests:  {known("source", "grpc", "200", "-", "5"): 1, known("destination", "grpc", "200", "-", "5"): 1},
		endpoints: tries(1, 1, "outbound|9090|v1|"+serviceHost, "127.1.0.21:15006"),
	})
	// Without a host there is no destination but the service, and nothing was sent.
	f("NR", tagged, map[string]tally{requests: {unknown("404", "NR"): 1}, endpoints: {}, loss: {}})
	// Those that wait their turn are served.
	f("UO", tagged, map[string]tally{
		requests: {unknown("503", "UO"): 3, known("source", "http", "200", "-", ""): 2, known("destination", "http", "200", "-", ""): 2},
		loss:     hops(2, 2),
	})
	// The server sees each try.
	f("URX", tagged, map[string]tally{
		requests:  {known("source", "http", "503", "URX", ""): 1, known("destination", "http", "503", "-", ""): 3},
		endpoints: tries(3, 3, "outbound|9080|v1|"+serviceHost, "127.1.0.21:15006"),
		loss:      hops(3, 3),
	})
	// To the server a caller's timeout is a caller that left.
	f("UT", tagged, map[string]tally{requests: {known("source", "http", "504", "UT", ""): 1, known("destination", "http", "0", "DC", ""): 1}})
	// What no server took is lost on the way.
	f("UF by source", tagged, map[string]tally{loss: hops(1, 0), endpoints: tries(1, 1, "outbound|9082|v1|"+serviceHost, "127.1.0.21:15007")})
}

func TestExpectTCP(t *testing.T) {
	f := func(id identity, reporter, service string, name string, want float64) {
		t.Helper()
		e := newExpectation(id)
		e.add(exampleCaller(), trialNamed(t, "TCP, long"))
		s := seriesOf(reporter, "idc1", "frontend-v1", "frontend", "v1", "backend-v1", "backend", "v1", service, "tcp", "-", "istio_tcp_"+name+"_total")
		if got := e.want[connections][s]; got != want {
			t.Errorf("%s by %s: %v, want %v", name, reporter, got, want)
		}
		if len(e.want[requests]) > 0 || len(e.want[endpoints]) > 0 {
			t.Errorf("a connection is no request: %v", e.want)
		}
	}
	f(tagged, "source", serviceHost, "connections_opened", 1)
	f(tagged, "source", serviceHost, "received_bytes", 3007) // with the line "3000 5"
	f(tagged, "source", serviceHost, "sent_bytes", 5)
	f(tagged, "destination", serviceHost, "sent_bytes", 5)
	f(istio, "destination", "unknown", "connections_closed", 1)
}

// Tries that Envoy made again elsewhere are sent, and fail, at the endpoint that refused.
func TestExpectRefusals(t *testing.T) {
	c, e := exampleCaller(), newExpectation(tagged)
	e.addRefusals(c, 0)
	e.add(c, trialNamed(t, "one of two endpoints refuses"))
	e.addRefusals(c, 2)
	bad := []string{"idc1", "frontend-v1", "outbound|9085|v1|" + serviceHost, "127.1.0.21:15007"}
	if got := e.want[endpoints][seriesOf(append([]string{"lockkeeper_endpoint_failures_total"}, bad...)...)]; got != 2 {
		t.Errorf("%v failures, want 2", got)
	}
	if got := e.want[loss][hop("sent", c)] - e.want[loss][hop("received", c)]; got != 2 {
		t.Errorf("%v lost, want 2", got)
	}
}

func TestEnvoysOwnFigures(t *testing.T) {
	got := tally{}
	p := twoIDCs()[0].callers[1]
	err := got.readStats(p, strings.NewReader(`# TYPE envoy_cluster_upstream_cx_connect_fail counter
envoy_cluster_upstream_cx_connect_fail{envoy_cluster_name="outbound|9085|v1|backend.demo.svc.cluster.local"} 3
envoy_cluster_upstream_rq_total{envoy_cluster_name="lockkeeper"} 4
envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="admin"} 7
envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="outbound"} 12
`))
	if err != nil {
		t.Fatal(err)
	}
	want := tally{
		seriesOf("envoy_cluster_upstream_cx_connect_fail", p.nodeID(), "outbound|9085|v1|"+serviceHost, "", ""): 3,
		seriesOf("envoy_http_downstream_rq_total", p.nodeID(), "", "outbound", ""):                              12,
	}
	for _, d := range want.differences(got) {
		t.Error(d)
	}
	if n := got.refusals(exampleCaller()); n != 3 {
		t.Errorf("%v refusals, want 3", n)
	}
}

func TestEveryFlagIsProvoked(t *testing.T) {
	all := newExpectation(tagged)
	for _, tr := range failedTrials() {
		all.add(exampleCaller(), tr)
	}
	if want := []string{"DC", "DR", "NR", "UC", "UF", "UH", "UO", "URX", "UT"}; !slices.Equal(all.flags(), want) {
		t.Errorf("flags %v, want %v", all.flags(), want)
	}
}

func TestDifferences(t *testing.T) {
	a, b, c := series("a"), series("b"), series("c")
	got := tally{a: 1, b: 2}.differences(tally{b: 3, c: 4})
	want := []difference{{a, 1, -1}, {b, 2, 3}, {c, -1, 4}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if same := (tally{a: 1}).differences(tally{a: 1}); len(same) > 0 {
		t.Errorf("equal tallies differ: %v", same)
	}
}
