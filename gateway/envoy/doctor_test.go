package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// Each finding comes of what it speaks of and of nothing else, and names a cure unless all is well.
func TestFindings(t *testing.T) {
	f := func(change func(*checkup), want ...string) {
		t.Helper()
		well := nodeStatus{ID: "n1", App: "web", IDC: "idc1", ALS: 2, Stats: 1}
		c := checkup{config: defaultConfig(), nodes: []nodeStatus{well}, totals: mesh.Totals{Nodes: map[string]mesh.Stats{}}, samples: []sample{{node: "n1"}}}
		c.totals.All.Counted = 1000
		change(&c)
		c.run()
		got := []string{}
		for _, found := range c.findings {
			got = append(got, found.Level+" "+found.ID)
			require.NotEmpty(t, found.Text)
			require.Equal(t, found.Level != levelOK, found.Cure != "", "%s: a cure", found.ID)
		}
		require.Equal(t, want, got)
	}
	f(func(*checkup) {}, "ok als", "ok stats")
	f(func(c *checkup) { c.nodes, c.totals.All.Counted = nil, 0 }, "error no_als")
	f(func(c *checkup) { c.nodes = nil }, "error no_als")
	f(func(c *checkup) { c.totals.All.Counted = 0 }, "warn no_entries", "ok stats")
	f(func(c *checkup) { c.nodes[0].Stats = 0 }, "ok als", "warn no_stats")
	f(func(c *checkup) { c.nodes = append(c.nodes, nodeStatus{ID: "n2", IDC: "idc1", ALS: 1}) }, "ok als", "ok stats", "warn als_without_stats")
	f(func(c *checkup) { c.nodes = append(c.nodes, nodeStatus{ID: "n2", IDC: "idc1", Stats: 1}) }, "ok als", "ok stats", "warn stats_without_als")
	f(func(c *checkup) { c.istio = 1 }, "ok als", "ok stats", "ok istio_stats")
	f(func(c *checkup) { c.coverage = []nodeCoverage{{Node: "n1", Ratio: 1, Known: true}} }, "ok als", "ok stats", "ok coverage")
	f(func(c *checkup) {
		c.coverage = []nodeCoverage{{Node: "n1", Ratio: 1, Known: true}, {Node: "n2", Ratio: .9, Known: true}}
	}, "ok als", "ok stats", "warn coverage_low")
	f(func(c *checkup) { c.coverage = []nodeCoverage{{Node: "n1"}} }, "ok als", "ok stats", "warn coverage_unknown")
	f(func(c *checkup) { c.totals.All.Unknown = [6]uint64{10, 100, 100, 10, 500, 10} }, "ok als", "ok stats")
	f(func(c *checkup) { c.totals.All.Unknown = [6]uint64{11, 101, 101, 11, 0, 11} }, "ok als", "ok stats",
		"warn unknown_reporter", "warn unknown_source", "warn unknown_destination", "warn unknown_service", "warn unknown_peer_form")
	f(func(c *checkup) { c.nodes[0].IDC = mesh.Unknown }, "ok als", "ok stats", "warn idc_unknown")
	f(func(c *checkup) { c.nodes[0].shared = true }, "ok als", "ok stats", "warn shared_id")
	f(func(c *checkup) { c.samples[0].mayGRPC = true }, "ok als", "ok stats", "warn grpc_unseen")
	f(func(c *checkup) { c.samples[0].noStatus = true }, "ok als", "ok stats", "warn grpc_status_unseen")
	f(func(c *checkup) { c.samples[0].skew = -3 * time.Second }, "ok als", "ok stats", "warn clock_skew")
	f(func(c *checkup) { c.samples[0].skew = 2 * time.Minute }, "ok als", "ok stats", "warn clock_skew")
	f(func(c *checkup) { c.samples[0].skew = 10 * time.Second }, "ok als", "ok stats")
	f(func(c *checkup) { c.totals.Overflow = 1 }, "ok als", "ok stats", "warn overflow")
	f(func(c *checkup) {
		c.totals.All.Malformed, c.totals.Nodes["n1"] = 1, mesh.Stats{Malformed: 1}
	}, "ok als", "ok stats", "warn malformed")
	f(func(c *checkup) { c.refused = 1 }, "ok als", "ok stats", "warn refused")
	f(func(c *checkup) { c.storage = errors.New("down") }, "ok als", "ok stats", "error storage")
	f(func(c *checkup) { c.foreign = 3 }, "ok als", "ok stats", "warn doubled")
	f(func(c *checkup) { c.foreign, c.config.MetricPrefix = 3, "lk_" }, "ok als", "ok stats")
	require.Equal(t, "a, b, c, d, e and 2 more", few([]string{"a", "b", "c", "d", "e", "f", "g"}))
}

func TestSamples(t *testing.T) {
	f := func(change func(*accesslogdatav3.HTTPAccessLogEntry), mayGRPC, noStatus bool) {
		t.Helper()
		e := &accesslogdatav3.HTTPAccessLogEntry{
			CommonProperties: &accesslogdatav3.AccessLogCommon{StartTime: timestamppb.New(time.Now().Add(-time.Hour)), Duration: durationpb.New(time.Minute)},
			ProtocolVersion:  accesslogdatav3.HTTPAccessLogEntry_HTTP2,
			Request:          &accesslogdatav3.HTTPRequestProperties{RequestMethod: corev3.RequestMethod_POST, Path: "/shop.v1.Cart/Add"},
			Response:         &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
		}
		change(e)
		raw, err := proto.Marshal(e)
		require.NoError(t, err)
		s := newSampler()
		for range samplesPerNode + 1 {
			s.see(&mesh.Observed{Node: &mesh.Node{ID: "n1"}, Raw: raw})
		}
		s.see(&mesh.Observed{Node: &mesh.Node{ID: "n2"}, Raw: []byte{0x0b}})
		s.see(&mesh.Observed{Node: &mesh.Node{ID: "n2"}, TCP: true})
		all := s.all()
		require.Len(t, all, samplesPerNode)
		require.InDelta(t, 59*60, all[0].skew.Seconds(), 30)
		require.Equal(t, [2]bool{mayGRPC, noStatus}, [2]bool{all[0].mayGRPC, all[0].noStatus})
	}
	f(func(*accesslogdatav3.HTTPAccessLogEntry) {}, true, false)
	f(func(e *accesslogdatav3.HTTPAccessLogEntry) { e.Request.Path = "/cart/add" }, false, false)
	f(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.ProtocolVersion = accesslogdatav3.HTTPAccessLogEntry_HTTP11
	}, false, false)
	f(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.Request.RequestHeaders = map[string]string{"content-type": "application/json"}
	}, false, false)
	grpc := func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.Request.RequestHeaders = map[string]string{"content-type": "application/grpc"}
	}
	f(grpc, false, true)
	f(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		grpc(e)
		e.Response.ResponseTrailers = map[string]string{"grpc-status": "0"}
	}, false, false)
	f(func(e *accesslogdatav3.HTTPAccessLogEntry) { // the client was gone
		grpc(e)
		e.Response.ResponseCode = nil
	}, false, false)
}

func TestSharedNodeID(t *testing.T) {
	var s senders
	now := time.Now()
	from := func(ip string) context.Context {
		return peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}})
	}
	node := mesh.Node{ID: "n1", IDC: "idc1"}
	first, second := s.open(from("10.0.0.1"), kindALS, &node, now), s.open(from("10.0.0.1"), kindStats, &node, now)
	third := s.open(from("10.0.0.2"), kindALS, &node, now.Add(time.Minute))
	require.False(t, s.status(now.Add(time.Minute))[0].shared, "the first may be a connection whose other end is gone")
	status := s.status(now.Add(2 * time.Minute))
	require.Equal(t, []nodeStatus{{ID: "n1", IDC: "idc1", ALS: 2, Stats: 1, Hosts: []string{"10.0.0.1", "10.0.0.2"}, shared: true}}, status)
	first()
	second()
	require.False(t, s.status(now.Add(2 * time.Minute))[0].shared)
	third()
	require.Empty(t, s.status(now))
	require.Empty(t, s.nodes, "nothing is kept of nodes that are gone")
}

func examined(t *testing.T, r *envoyReceiver, query string) (findings []finding, nodes []nodeStatus) {
	t.Helper()
	recorder := httptest.NewRecorder()
	r.examine(recorder, httptest.NewRequest(http.MethodGet, "/api/v1/doctor?"+query, nil))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body)
	answer := struct {
		Findings *[]finding
		Nodes    *[]nodeStatus
	}{&findings, &nodes}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
	return findings, nodes
}

func TestDoctorAsksStreamsAndStorage(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), nil)
	f := func(want ...string) {
		t.Helper()
		findings, _ := examined(t, r, "for=0s")
		var ids []string
		for _, found := range findings {
			ids = append(ids, found.ID)
		}
		for _, id := range want {
			require.Contains(t, ids, id)
		}
	}
	f("no_als")
	r.storage = storageAt{err: errors.New("plugin victoriametrics is down")}
	f("storage")
	result := `[{"metric":{},"value":[1.5,"3"]}]`
	vm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/prom/api/v1/query" || r.URL.Query().Get("query") != `count(istio_requests_total{gateway=""})` {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":`+result+`}}`)
	}))
	defer vm.Close()
	r.storage = storageAt{url: vm.URL + "/prom/"}
	f("doubled")
	result = "[]"
	n, err := countForeign(t.Context(), r.storage)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = countForeign(t.Context(), storageAt{url: vm.URL})
	require.ErrorContains(t, err, "418")

	stream, err := client.StreamAccessLogs(t.Context())
	require.NoError(t, err)
	for _, m := range recorded(t) {
		require.NoError(t, stream.Send(m))
	}
	require.Eventually(t, func() bool { return r.aggregator.Totals().All.Counted > 40 }, 5*time.Second, time.Millisecond)
	f("als", "no_stats")
	_, nodes := examined(t, r, "for=0s")
	require.Len(t, nodes, 1)
	require.Equal(t, []string{"127.0.0.1"}, nodes[0].Hosts)
	require.Positive(t, nodes[0].Entries)
	require.NoError(t, stream.CloseSend())
	require.Zero(t, watching(r))

	recorder := httptest.NewRecorder()
	r.examine(recorder, httptest.NewRequest(http.MethodGet, "/api/v1/doctor?for=1h", nil))
	require.Equal(t, http.StatusBadRequest, recorder.Code)
}
