package mesh

import (
	"fmt"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func callerNode(id string) Node {
	return Node{ID: id, IDC: "idc1", Trusted: true, peer: Peer{workload: "web", app: "web"}}
}

// tried is a final entry, or with tries one of a single try, of what is at an address.
func tried(t *testing.T, kind accesslogdatav3.AccessLogType, ip string, change func(*accesslogdatav3.HTTPAccessLogEntry)) []byte {
	return message(t, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.AccessLogType = kind
		e.CommonProperties.UpstreamCluster = "outbound|80||web.default.svc.cluster.local"
		e.CommonProperties.UpstreamRemoteAddress = socket(ip, 8080)
		e.CommonProperties.StartTime = timestamppb.New(time.Unix(1700000000, 0))
		e.CommonProperties.Duration = durationpb.New(250 * time.Millisecond)
		if change != nil {
			change(e)
		}
	}))
}

const (
	finalEntry = accesslogdatav3.AccessLogType_DownstreamEnd
	tryEntry   = accesslogdatav3.AccessLogType_UpstreamEnd
)

func code(code uint32) func(*accesslogdatav3.HTTPAccessLogEntry) {
	return func(e *accesslogdatav3.HTTPAccessLogEntry) { e.Response.ResponseCode = wrapperspb.UInt32(code) }
}

func flagged(code uint32, flags *accesslogdatav3.ResponseFlags) func(*accesslogdatav3.HTTPAccessLogEntry) {
	return func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.Response.ResponseCode = wrapperspb.UInt32(code)
		e.CommonProperties.ResponseFlags = flags
	}
}

func watching(responses bool) *Aggregator {
	a := New(Options{}, time.Unix(1700000000, 0))
	a.WatchEndpoints(responses)
	return a
}

// short is what was tried, for people.
func short(all []Tried) (lines []string) {
	for _, t := range all {
		lines = append(lines, fmt.Sprint(t.Address, " ", t.Requests, " ", t.Failures, " ", t.Flags, " ", t.Callers, " ", t.Failing))
	}
	return lines
}

func TestTried(t *testing.T) {
	a := watching(true)
	now := time.Unix(1700000001, 0)
	s, other := a.Open(callerNode("web-1")), a.Open(callerNode("web-2"))
	add(t, s,
		tried(t, finalEntry, "10.0.0.7", nil), tried(t, finalEntry, "10.0.0.7", code(503)),
		tried(t, finalEntry, "10.0.0.7", flagged(503, &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true, UpstreamRetryLimitExceeded: true})),
		tried(t, finalEntry, "10.0.0.7", flagged(0, &accesslogdatav3.ResponseFlags{DownstreamConnectionTermination: true})),
		tried(t, finalEntry, "10.0.0.8", code(404)),
		tried(t, accesslogdatav3.AccessLogType_DownstreamPeriodic, "10.0.0.8", nil),
		tried(t, finalEntry, "10.0.0.8", func(e *accesslogdatav3.HTTPAccessLogEntry) {
			e.CommonProperties.UpstreamCluster = "inbound|8080||"
		}),
		tried(t, finalEntry, "10.0.0.8", func(e *accesslogdatav3.HTTPAccessLogEntry) { e.CommonProperties.UpstreamRemoteAddress = nil }),
		tried(t, finalEntry, "/run/x.sock", nil),
	)
	add(t, other, tried(t, finalEntry, "10.0.0.7", nil), tried(t, finalEntry, "10.0.0.7", code(500)), tried(t, finalEntry, "10.0.0.7", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.UpstreamCluster = "outbound|80|v2|web.default.svc.cluster.local"
	}))
	got := a.Tried(now)
	want := []string{
		"10.0.0.7:8080 1 0 map[] map[web-2:1] map[]", // in another cluster
		"10.0.0.7:8080 6 4 map[5xx:2 UF:1 no response:1] map[web-1:4 web-2:2] map[web-1:3 web-2:1]",
		"10.0.0.8:8080 1 0 map[] map[web-1:1] map[]",
	}
	if diff := cmp.Diff(want, short(got)); diff != "" {
		t.Error(diff)
	}
	if got[0].Cluster == got[1].Cluster || got[1].Succeeded.Sub(time.Unix(1700000000, 0)) != 250*time.Millisecond ||
		!got[1].Began.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("got %+v", got)
	}
	if got := a.Tried(now); len(got) != 0 {
		t.Errorf("told twice: %+v", got)
	}
	// What a stream had counted at its end is told, and a clock that is fast is not believed.
	add(t, s, tried(t, finalEntry, "10.0.0.7", func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.StartTime = timestamppb.New(now.Add(time.Hour))
	}))
	s.Close()
	if got := a.Tried(now); len(got) != 1 || got[0].Requests != 1 || got[0].Succeeded != now || got[0].Began != now {
		t.Errorf("got %+v after the end", got)
	}
}

// A node that tells every single try is believed in that alone: its final entries name the last try once more.
func TestTriesComeBeforeFinalEntries(t *testing.T) {
	a := watching(true)
	tries, requests := a.Open(callerNode("web-1")), a.Open(callerNode("web-1")) // a logger has a stream of its own
	add(t, tries, tried(t, tryEntry, "10.0.0.7", flagged(0, &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true})), tried(t, tryEntry, "10.0.0.8", nil))
	add(t, requests, tried(t, finalEntry, "10.0.0.8", nil))
	want := []string{"10.0.0.7:8080 1 1 map[UF:1] map[web-1:1] map[web-1:1]", "10.0.0.8:8080 1 0 map[] map[web-1:1] map[]"}
	if diff := cmp.Diff(want, short(a.Tried(time.Now()))); diff != "" {
		t.Error(diff)
	}
}

// An endpoint that answers 5xx has answered, where that is the choice.
func TestResponsesMayBeSuccesses(t *testing.T) {
	a := watching(false)
	s := a.Open(callerNode("web-1"))
	add(t, s, tried(t, finalEntry, "10.0.0.7", code(503)),
		tried(t, finalEntry, "10.0.0.7", flagged(503, &accesslogdatav3.ResponseFlags{UpstreamConnectionTermination: true})))
	if diff := cmp.Diff([]string{"10.0.0.7:8080 2 1 map[UC:1] map[web-1:2] map[web-1:1]"}, short(a.Tried(time.Now()))); diff != "" {
		t.Error(diff)
	}
}

// Of connections it is their end that tells, also of a node that tells the tries of its requests.
func TestTriedConnections(t *testing.T) {
	a := watching(true)
	s := a.Open(callerNode("web-1"))
	end := func(flags *accesslogdatav3.ResponseFlags) []byte {
		return marshal(t, &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_TcpLogs{
			TcpLogs: &accesslogv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: []*accesslogdatav3.TCPAccessLogEntry{{CommonProperties: &accesslogdatav3.AccessLogCommon{
				UpstreamCluster: "outbound|443||db.default.svc.cluster.local", AccessLogType: accesslogdatav3.AccessLogType_TcpConnectionEnd,
				UpstreamRemoteAddress: &corev3.Address{Address: socket("10.0.0.9", 5432).Address}, ResponseFlags: flags,
			}}}},
		}})
	}
	add(t, s, end(nil), end(&accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true}))
	want := "10.0.0.9:5432 2 1 map[UF:1] map[web-1:2] map[web-1:1]"
	if diff := cmp.Diff([]string{want}, short(a.Tried(time.Now()))); diff != "" {
		t.Error(diff)
	}
	add(t, s, tried(t, tryEntry, "10.0.0.7", nil), end(nil), end(&accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true}))
	if diff := cmp.Diff([]string{want, "10.0.0.7:8080 1 0 map[] map[web-1:1] map[]"}, short(a.Tried(time.Now()))); diff != "" {
		t.Error(diff)
	}
}

// Whoever is not trusted tells nothing, and it is counted. Nobody asks: nothing is counted.
func TestTriedTakesTrust(t *testing.T) {
	a := watching(true)
	forged := callerNode("web-1")
	forged.Trusted = false
	s := a.Open(forged)
	add(t, s, tried(t, finalEntry, "10.0.0.7", code(503)), tried(t, tryEntry, "10.0.0.7", code(503)))
	if got := a.Tried(time.Now()); len(got) != 0 || a.Totals().TriesUntrusted != 1 {
		t.Errorf("got %+v", got)
	}
	a = New(Options{}, time.Now())
	s = a.Open(callerNode("web-1"))
	add(t, s, tried(t, finalEntry, "10.0.0.7", code(503)))
	if got := a.Tried(time.Now()); len(got) != 0 || a.Totals().TriesUntrusted != 0 {
		t.Errorf("got %+v", got)
	}
}

// Callers are named as they are told to be, and of a cluster's many the same ones at all endpoints. Endpoints are bounded.
func TestTriedIsBounded(t *testing.T) {
	a := watching(true)
	for i := range 50 {
		n := callerNode(fmt.Sprint("web-", i))
		n.Caller = fmt.Sprintf("cert-%02d", i/2)
		if i >= 4 {
			n.Caller = fmt.Sprintf("cert-%02d", i)
		}
		s := a.Open(n)
		for endpoint := range 3 {
			for range 1 + i {
				add(t, s, tried(t, finalEntry, fmt.Sprint("10.0.0.", endpoint), nil))
			}
		}
	}
	got := a.Tried(time.Now())
	for _, tried := range got {
		if len(tried.Callers) != maxTriedCallers || tried.Callers["cert-49"] != 50 || tried.Callers["cert-17"] != 0 || tried.Requests != 50*51/2 {
			t.Errorf("got %+v", tried)
		}
	}
	s := a.Open(callerNode("many"))
	for i := range maxStreamEndpoints + 10 {
		add(t, s, tried(t, finalEntry, fmt.Sprintf("10.1.%d.%d", i/250, i%250), nil))
	}
	if got := a.Tried(time.Now()); len(got) != maxStreamEndpoints || a.Totals().TriesFull != 10 {
		t.Errorf("%d endpoints, %d over the bound", len(got), a.Totals().TriesFull)
	}
	add(t, s, tried(t, finalEntry, "10.2.0.1", nil)) // there is room again
	if got := a.Tried(time.Now()); len(got) != 1 {
		t.Errorf("%d endpoints", len(got))
	}
}
