package mesh

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func ingressNode(id, idc string) Node {
	return Node{ID: id, IDC: idc, LogName: "edge-log", Trusted: true, peer: Peer{workload: "edge", app: "edge-app"}, ips: []string{"10.1.0.1"}}
}

// from is a request that an address sent.
func from(t *testing.T, ip string, change func(*accesslogdatav3.HTTPAccessLogEntry)) []byte {
	return message(t, request(func(r *accesslogdatav3.HTTPAccessLogEntry) {
		r.CommonProperties.DownstreamDirectRemoteAddress = socket(ip, 40000)
		r.CommonProperties.Duration = durationpb.New(30 * time.Millisecond)
		if change != nil {
			change(r)
		}
	}))
}

func add(t *testing.T, s *Stream, messages ...[]byte) {
	t.Helper()
	for _, m := range messages {
		if err := s.Add(m); err != nil {
			t.Fatal(err)
		}
	}
}

// What entered is what the edges say, of every recording.
func TestEnteredIsWhatEdgesSay(t *testing.T) {
	for file, messages := range corpus(t) {
		now := time.Unix(1700000000, 0)
		a := New(Options{Ingress: []string{"edge"}}, now)
		a.WatchIngress()
		s := a.Open(ingressNode("edge-1", "idc1"))
		for _, m := range messages {
			add(t, s, marshal(t, m))
		}
		a.mergeStreams(now)
		var want Entered
		want.Flags = map[string]uint64{}
		for _, e := range a.Edges(now) {
			want.Requests += e.Requests
			want.Failures += e.Errors
			for flag, n := range e.Flags {
				want.Flags[flag] += n
			}
		}
		got := a.Entered()
		if len(got) != 1 || got[0].IDC != "idc1" {
			t.Fatalf("%s: entered %+v", file, got)
		}
		if got[0].Requests != want.Requests || got[0].Failures != want.Failures || !reflect.DeepEqual(got[0].Flags, want.Flags) {
			t.Errorf("%s: entered %+v, want %+v", file, got[0], want)
		}
		if again := a.Entered(); again[0].Requests != 0 || len(again[0].Flags) != 0 || len(again[0].Callers) != 0 {
			t.Errorf("%s: entered twice: %+v", file, again)
		}
	}
}

func TestWhoIsAnIngress(t *testing.T) {
	f := func(names []string, n Node, want bool) {
		t.Helper()
		a := New(Options{Ingress: names}, time.Unix(1700000000, 0))
		a.WatchIngress()
		if got := a.Open(n).ingress != nil; got != want {
			t.Errorf("%q of %+v: %v, want %v", names, n, got, want)
		}
	}
	router, plain := ingressNode("router~10.1.0.1~gateway-1.istio-system~x", "idc1"), ingressNode("edge-1", "idc1")
	f(nil, router, true)
	f(nil, plain, false)
	f(nil, ingressNode("sidecar~10.1.0.1~web-1.default~x", "idc1"), false)
	f([]string{"edge"}, plain, true)
	f([]string{"edge-app"}, plain, true)
	f([]string{"other", "edge-log"}, plain, true)
	f([]string{"other"}, plain, false)
	f([]string{"other"}, router, false)
	f(nil, ingressNode("router~10.1.0.1~gateway-1.istio-system~x", Unknown), false)
	router.Trusted = false
	f(nil, router, false)

	if New(Options{}, time.Now()).Open(ingressNode("router~1~2~3", "idc1")).ingress != nil {
		t.Error("counted although nobody asks")
	}
}

func TestEnteredTellsCallers(t *testing.T) {
	a := New(Options{}, time.Unix(1700000000, 0))
	a.WatchIngress()
	if got := a.Entered(); len(got) != 0 {
		t.Fatalf("entered %+v without an ingress", got)
	}
	s := a.Open(ingressNode("router~10.1.0.1~gateway-1.istio-system~x", "idc1"))
	// A node of the mesh: what it sends through the gateway was inside before.
	a.Open(workloadNode("sidecar~10.1.0.9~web-1.default~x", "idc1", "web-v1"))
	add(t, s,
		from(t, "192.0.2.1", nil), from(t, "192.0.2.1", func(r *accesslogdatav3.HTTPAccessLogEntry) { r.Response.ResponseCode = wrapperspb.UInt32(503) }),
		from(t, "10.1.0.9", nil),
		from(t, "10.1.0.1", nil), // on one machine with the ingress
		from(t, "192.0.2.7", func(r *accesslogdatav3.HTTPAccessLogEntry) { // a proxy that says who it speaks for
			r.CommonProperties.DownstreamRemoteAddress = socket("2001:db8::7", 0)
		}),
		from(t, "192.0.2.7", func(r *accesslogdatav3.HTTPAccessLogEntry) {
			r.CommonProperties.DownstreamRemoteAddress = socket("<script>", 0)
		}),
		from(t, "192.0.2.8", func(r *accesslogdatav3.HTTPAccessLogEntry) {
			r.CommonProperties.AccessLogType = accesslogdatav3.AccessLogType_DownstreamPeriodic
		}),
	)
	got := a.Entered()
	want := map[string]uint64{"192.0.2.1": 2, "10.1.0.1": 1, "2001:db8::7": 1, "192.0.2.7": 1}
	if len(got) != 1 || got[0].Requests != 5 || got[0].Failures != 1 || !reflect.DeepEqual(got[0].Callers, want) {
		t.Errorf("entered %+v", got)
	}
	if i := bucket(&a.bounds, 30); got[0].Durations[i] != 5 {
		t.Errorf("durations %v", got[0].Durations)
	}
	// A stream that has ended tells its last.
	add(t, s, from(t, "192.0.2.1", nil))
	s.Close()
	if got := a.Entered(); len(got) != 1 || got[0].Requests != 1 {
		t.Errorf("entered %+v after the end", got)
	}
	if got := a.Entered(); len(got) != 0 {
		t.Errorf("entered %+v without an ingress", got)
	}
}

// TCP counts by connections that ended, which have no duration of a request.
func TestEnteredCountsConnections(t *testing.T) {
	a := New(Options{}, time.Unix(1700000000, 0))
	a.WatchIngress()
	s := a.Open(ingressNode("router~10.1.0.1~gateway-1.istio-system~x", "idc1"))
	common := func(kind accesslogdatav3.AccessLogType) *accesslogdatav3.AccessLogCommon {
		return &accesslogdatav3.AccessLogCommon{
			UpstreamCluster: "outbound|443||db.default.svc.cluster.local", StreamId: "1", AccessLogType: kind,
			DownstreamDirectRemoteAddress: socket("192.0.2.1", 40000), Duration: durationpb.New(time.Hour),
		}
	}
	add(t, s, marshal(t, &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_TcpLogs{
		TcpLogs: &accesslogv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: []*accesslogdatav3.TCPAccessLogEntry{
			{CommonProperties: common(accesslogdatav3.AccessLogType_TcpUpstreamConnected)},
			{CommonProperties: common(accesslogdatav3.AccessLogType_TcpConnectionEnd)},
		}},
	}}))
	got := a.Entered()
	if len(got) != 1 || got[0].Requests != 1 || got[0].Callers["192.0.2.1"] != 1 || got[0].Durations != [bucketCount]uint64{} {
		t.Errorf("entered %+v", got)
	}
}

// Whoever makes up addresses is counted, and costs a bounded amount of memory; the busy ones are named all the same.
func TestEnteredNamesTheBusiestOfMany(t *testing.T) {
	a := New(Options{}, time.Unix(1700000000, 0))
	a.WatchIngress()
	s := a.Open(ingressNode("router~10.1.0.1~gateway-1.istio-system~x", "idc1"))
	for round := range 3 {
		for i := range 5000 {
			add(t, s, from(t, fmt.Sprintf("203.0.%d.%d", i/250, i%250), nil))
			if i%50 == 0 {
				add(t, s, from(t, "192.0.2.1", nil))
			}
		}
		if used := s.ingress.callers.used; used > maxIngressCallers {
			t.Fatalf("%d callers", used)
		}
		got := a.Entered()[0]
		if got.Requests != 5100 || len(got.Callers) != maxEnteredCallers || got.Callers["192.0.2.1"] != 100 {
			t.Errorf("round %d: %d requests, %d callers, the busiest has %d", round, got.Requests, len(got.Callers), got.Callers["192.0.2.1"])
		}
		for address := range got.Callers {
			if !strings.HasPrefix(address, "203.0.") && address != "192.0.2.1" {
				t.Errorf("a caller %q", address)
			}
		}
	}
}
