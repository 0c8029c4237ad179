package mesh

import (
	"errors"
	"fmt"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// request is an entry made by hand: a served request as Istio's client sidecar logs it, changed by what the test is about.
func request(change func(*accesslogdatav3.HTTPAccessLogEntry)) *accesslogdatav3.HTTPAccessLogEntry {
	e := &accesslogdatav3.HTTPAccessLogEntry{
		CommonProperties: &accesslogdatav3.AccessLogCommon{
			UpstreamCluster: "outbound|80||reviews.default.svc.cluster.local", UpstreamRemoteAddress: socket("10.0.0.7", 8080),
			FilterStateObjects: map[string]*anypb.Any{"upstream_peer": peerStruct("app", "reviews", "version", "v2", "namespace", "default")},
			AccessLogType:      accesslogdatav3.AccessLogType_DownstreamEnd,
		},
		Request:  &accesslogdatav3.HTTPRequestProperties{Authority: "Reviews:80"},
		Response: &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
	}
	if change != nil {
		change(e)
	}
	return e
}

func socket(ip string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func peerStruct(pairs ...string) *anypb.Any {
	fields := map[string]*structpb.Value{}
	for i := 0; i < len(pairs); i += 2 {
		fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
	}
	b, _ := proto.Marshal(&structpb.Struct{Fields: fields})
	return &anypb.Any{TypeUrl: "type.googleapis.com/google.protobuf.Struct", Value: b}
}

func message(t *testing.T, entries ...*accesslogdatav3.HTTPAccessLogEntry) []byte {
	t.Helper()
	return marshal(t, &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries},
	}})
}

func node(t *testing.T, id string, labels ...string) Node {
	t.Helper()
	fields := map[string]*structpb.Value{}
	for i := 0; i < len(labels); i += 2 {
		fields[labels[i]] = structpb.NewStringValue(labels[i+1])
	}
	n, err := ReadNode(marshal(t, &accesslogv3.StreamAccessLogsMessage{Identifier: &accesslogv3.StreamAccessLogsMessage_Identifier{
		LogName: "log", Node: &corev3.Node{Id: id, Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"LABELS": structpb.NewStructValue(&structpb.Struct{Fields: fields}),
		}}},
	}}), IDCSource{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// count has one stream of a sidecar read entries, and returns the series.
func count(t *testing.T, o Options, entries ...*accesslogdatav3.HTTPAccessLogEntry) []Series {
	t.Helper()
	start := time.Unix(1700000000, 0)
	a := New(o, start)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web", "version", "v1"))
	if err := s.Add(message(t, entries...)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	return flush(t, a, start.Add(5*time.Second))
}

func label(s Series, name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

func TestOnlyFinalEntriesCount(t *testing.T) {
	//lint:ignore SA1019 older Envoys tell an intermediate entry by nothing else
	intermediate := request(func(e *accesslogdatav3.HTTPAccessLogEntry) { e.CommonProperties.IntermediateLogEntry = true })
	upstream := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.AccessLogType = accesslogdatav3.AccessLogType_UpstreamEnd
	})
	if series := count(t, Options{}, intermediate, upstream, request(nil)); len(series) != 1 || series[0].Requests != 1 {
		t.Errorf("got %v, want one series with one request", series)
	}
}

func TestFailuresLearnThePeerOfAnAddress(t *testing.T) {
	failed := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.FilterStateObjects, e.Response.ResponseCode = nil, wrapperspb.UInt32(503)
	})
	for _, s := range count(t, Options{}, request(nil), failed) {
		if got := label(s, "destination_version"); got != "v2" {
			t.Errorf("response code %s: destination_version is %q, want v2", label(s, "response_code"), got)
		}
	}

	// The address is known from the server's own node, whatever its port.
	a := New(Options{}, time.Now())
	server := a.Open(node(t, "sidecar~10.0.0.7~reviews-1.default~x", "app", "reviews", "version", "v3"))
	defer server.Close()
	client := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web"))
	defer client.Close()
	if err := client.Add(message(t, failed)); err != nil {
		t.Fatal(err)
	}
	if got := label(flush(t, a, time.Now())[0], "destination_version"); got != "v3" {
		t.Errorf("destination_version is %q, want v3", got)
	}

	// Two workloads on one address: better unknown than wrong.
	other := a.Open(node(t, "sidecar~10.0.0.7~ratings-1.default~x", "app", "ratings", "version", "v1"))
	defer other.Close()
	if err := client.Add(message(t, failed)); err != nil {
		t.Fatal(err)
	}
	for _, s := range flush(t, a, time.Now()) {
		if got := label(s, "destination_version"); got != "unknown" && s.Requests > 1 {
			t.Errorf("destination_version is %q, want unknown", got)
		}
	}
}

func TestFieldOrderDoesNotSplitSeries(t *testing.T) {
	var entries []*accesslogdatav3.HTTPAccessLogEntry
	for range 20 { // Go writes maps in random order
		entries = append(entries, request(nil))
	}
	if series := count(t, Options{}, entries...); len(series) != 1 || series[0].Requests != 20 {
		t.Errorf("%d series, want one with 20 requests", len(series))
	}
}

func TestSeriesBeyondTheBoundCountAsOther(t *testing.T) {
	var entries []*accesslogdatav3.HTTPAccessLogEntry
	for i := range 50 {
		entries = append(entries, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
			e.CommonProperties.UpstreamCluster = fmt.Sprintf("outbound|80||s%d.default.svc.cluster.local", i)
		}))
	}
	var total, other uint64
	series := count(t, Options{MaxSeries: 10}, entries...)
	for _, s := range series {
		total += s.Requests
		if label(s, "destination_service") == Other {
			other += s.Requests
		}
	}
	if total != 50 || other != 40 || len(series) != 11 {
		t.Errorf("%d requests in %d series, %d of them other; want 50 in 11, 40 other", total, len(series), other)
	}
}

func TestAuthoritiesAreBounded(t *testing.T) {
	var entries []*accesslogdatav3.HTTPAccessLogEntry
	for i := range maxAuthorities + 100 {
		entries = append(entries, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
			e.CommonProperties.UpstreamCluster, e.Request.Authority = "", fmt.Sprintf("scan-%d.example.com:80", i)
		}))
	}
	for _, s := range count(t, Options{}, entries...) {
		if label(s, "destination_service") == Other && s.Requests == 100 {
			return
		}
	}
	t.Error("want 100 requests to the service other")
}

func TestSeriesComeWhenChangedAndWhenDue(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a := New(Options{}, start)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x"))
	defer s.Close()
	f := func(after time.Duration, requests int, want uint64, isNew bool) {
		t.Helper()
		for range requests {
			if err := s.Add(message(t, request(nil))); err != nil {
				t.Fatal(err)
			}
		}
		got := flush(t, a, start.Add(after))
		if len(got) == 0 && want == 0 {
			return
		}
		if len(got) != 1 || got[0].Requests != want || got[0].New != isNew {
			t.Errorf("after %v: got %+v, want %d requests", after, got, want)
		}
	}
	f(5*time.Second, 0, 0, false)
	f(10*time.Second, 2, 2, true)
	f(15*time.Second, 0, 0, false)
	f(20*time.Second, 1, 3, false)
	f(79*time.Second, 0, 0, false)
	f(80*time.Second, 0, 3, false) // a minute after the last time
	f(20*time.Minute, 0, 3, false) // and idle since long
	if got := flush(t, a, start.Add(21*time.Minute)); len(got) != 1 || !got[0].Ended || got[0].New {
		t.Errorf("got %+v, want the end of the series", got)
	}
	f(22*time.Minute, 0, 0, false)
	f(23*time.Minute, 1, 1, true)
}

func TestFailedExportComesAgain(t *testing.T) {
	now := time.Now()
	a := New(Options{}, now)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x"))
	defer s.Close()
	if err := s.Add(message(t, request(nil))); err != nil {
		t.Fatal(err)
	}
	full := errors.New("queue full")
	if err := a.Flush(now, Exporter{
		MaxWeight: 1, SeriesWeight: func(*Series) int { return 1 }, Series: func([]Series) error { return full },
	}); !errors.Is(err, full) {
		t.Errorf("Flush returned %v, want %v", err, full)
	}
	if got := flush(t, a, now.Add(time.Second)); len(got) != 1 || !got[0].New {
		t.Errorf("got %+v, want the series again, still new", got)
	}
}

func TestMalformed(t *testing.T) {
	a := New(Options{}, time.Now())
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x"))
	defer s.Close()
	if err := s.Add([]byte("garbage")); !errors.Is(err, ErrMalformed) {
		t.Errorf("garbage: %v, want ErrMalformed", err)
	}
	if _, err := ReadNode(message(t, request(nil)), IDCSource{}); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("no identifier: %v, want ErrNoIdentity", err)
	}
	// One bad entry between two good ones, and one whose app is not UTF-8.
	notText := request(nil)
	notText.CommonProperties.FilterStateObjects["upstream_peer"] = peerStruct("app", "reviews")
	value := notText.CommonProperties.FilterStateObjects["upstream_peer"].Value
	value[len(value)-1] = 0xff
	good := marshal(t, request(nil))
	var m []byte
	for _, e := range [][]byte{good, []byte("\x0a\xff\x01"), marshal(t, notText), good} {
		m = append(append(m, 1<<3|length, byte(len(e)), byte(0)), e...)
		m[len(m)-len(e)-2], m[len(m)-len(e)-1] = byte(len(e))|0x80, byte(len(e)>>7)
	}
	m = append([]byte{2<<3 | length, byte(len(m)) | 0x80, byte(len(m) >> 7)}, m...)
	if err := s.Add(m); err != nil {
		t.Fatal(err)
	}
	if got := a.Totals().All; got.Counted != 2 || got.Malformed != 2 {
		t.Errorf("%d counted and %d malformed, want 2 and 2", got.Counted, got.Malformed)
	}
}

func TestEdges(t *testing.T) {
	now := time.Unix(1700000000, 0)
	a := New(Options{}, now)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web", "version", "v1"))
	defer s.Close()
	failed := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{UpstreamRetryLimitExceeded: true, UpstreamConnectionFailure: true}
		e.Response.ResponseCode = wrapperspb.UInt32(503)
	})
	if err := s.Add(message(t, request(nil), request(nil), request(nil), failed)); err != nil {
		t.Fatal(err)
	}
	flush(t, a, now.Add(10*time.Second))
	edges := a.Edges(now.Add(10 * time.Second))
	if len(edges) != 1 {
		t.Fatalf("%d edges, want one", len(edges))
	}
	e := edges[0]
	if e.Source.App != "web" || e.Destination.App != "reviews" || e.Requests != 4 || e.Errors != 1 || e.ErrorShare != .25 || e.Rate != .4 || e.Flags["UF"] != 1 || e.Flags["URX"] != 1 {
		t.Errorf("got %+v", e)
	}
	if edges := a.Edges(now.Add(80 * time.Second)); len(edges) != 0 {
		t.Errorf("%d edges after the window, want none", len(edges))
	}
}
