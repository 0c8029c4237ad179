package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The mesh of which a page has to stay quick.
const crowdWorkloads, crowdEdges = 600, 1000

// crowdEdge is the n-th of the edges: from whom, to whom.
func crowdEdge(n int) (from, to int) {
	if to = n + 1; to < crowdWorkloads {
		return to / 3, to
	}
	to += 2 - crowdWorkloads
	return to/3 + 1, to
}

func crowdPeer(n int) *structpb.Struct {
	fields := map[string]*structpb.Value{}
	for name, value := range map[string]string{
		"app": fmt.Sprintf("app-%d", n/2), "version": fmt.Sprintf("v%d", n%2+1), "workload": fmt.Sprintf("app-%d-v%d", n/2, n%2+1), "namespace": "default",
	} {
		fields[name] = structpb.NewStringValue(value)
	}
	return &structpb.Struct{Fields: fields}
}

// crowdMessage is what the Envoy of one workload tells: every 20th request fails.
func crowdMessage(t *testing.T, n int) []byte {
	t.Helper()
	peer := crowdPeer(n).GetFields()
	node := &corev3.Node{
		Id: fmt.Sprintf("sidecar~10.0.%d.%d~app-%d.default~x", n/250, n%250, n), Locality: &corev3.Locality{Region: "idc1"},
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"WORKLOAD_NAME": peer["workload"], "NAMESPACE": peer["namespace"], "LABELS": structpb.NewStructValue(&structpb.Struct{Fields: peer}),
		}},
	}
	if n == 0 {
		node.Id = "router~10.0.0.0~gate.default~x"
	}
	var entries []*accesslogdatav3.HTTPAccessLogEntry
	for number := range crowdEdges {
		from, to := crowdEdge(number)
		other, name, cluster := to, "upstream_peer", fmt.Sprintf("outbound|80||app-%d.default.svc.cluster.local", to/2)
		if to == n {
			other, name, cluster = from, "downstream_peer", "inbound|8080||"
		} else if from != n {
			continue
		}
		state, err := anypb.New(crowdPeer(other))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			e := &accesslogdatav3.HTTPAccessLogEntry{
				CommonProperties: &accesslogdatav3.AccessLogCommon{
					AccessLogType: accesslogdatav3.AccessLogType_DownstreamEnd, UpstreamCluster: cluster, StartTime: timestamppb.Now(),
					Duration: durationpb.New(20 * time.Millisecond), FilterStateObjects: map[string]*anypb.Any{name: state},
				},
				Request:  &accesslogdatav3.HTTPRequestProperties{Authority: fmt.Sprintf("app-%d", to/2), Path: "/path", RequestId: fmt.Sprint(number, i)},
				Response: &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
			}
			if i == 0 {
				e.Response.ResponseCode = wrapperspb.UInt32(503)
			}
			entries = append(entries, e)
		}
	}
	return accessLogs(t, node, entries...)
}

// crowd opens a stream for each workload, which stays open until the test's end.
func crowd(t *testing.T, sink string) {
	t.Helper()
	conn, err := grpc.NewClient(sink, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for n := range crowdWorkloads {
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true},
			"/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", grpc.ForceCodecV2(rawCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(crowdMessage(t, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// overviewed is what the test reads of an overview.
type overviewed struct {
	Sections struct {
		Mesh struct {
			Edges []struct {
				ID        string
				Reporters []string
			}
			Funnels []struct{ Hops []struct{ Depth int } }
		}
		Probes json.RawMessage
	}
	Missing map[string]string
}

// poll has pages ask for the overview every two seconds, and returns how long each answer took, the shortest first.
func poll(t *testing.T, console string, pages int, lasts time.Duration) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	ctx, done := context.WithTimeout(t.Context(), lasts)
	defer done()
	var all sync.WaitGroup
	for page := range pages {
		all.Go(func() {
			client := http.Client{Transport: &http.Transport{DisableCompression: true}}
			defer client.CloseIdleConnections()
			for tick := time.NewTimer(time.Duration(page) * 2 * time.Second / time.Duration(pages)); ; tick.Reset(2 * time.Second) {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+console+"/api/v1/overview", http.NoBody)
				request.Header.Set("Accept-Encoding", "gzip")
				start := time.Now()
				response, err := client.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				if n, err := io.Copy(io.Discard, response.Body); err != nil || n == 0 || response.StatusCode != http.StatusOK {
					t.Errorf("%s, %d bytes: %v", response.Status, n, err)
				}
				_ = response.Body.Close()
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

// 50 pages that show 600 workloads and 1,000 edges get their answers at once, and cost next to nothing.
func TestOverviewOfACrowd(t *testing.T) {
	sink, console := freeAddress(t), freeAddress(t)
	p := startRun(t, "--no-default", "--config", writeFile(t, fmt.Sprintf(`
receivers:
  envoy: {endpoint: %q, flush_interval: 1s}
  probes: {targets: [{module: tcp, target: %q, subject: idc/idc1/entry}]}
exporters: {debug: {verbosity: basic}}
extensions: {console: {endpoint: %q}}
service:
  extensions: [console]
  telemetry: {logs: {level: error}, metrics: {level: none}}
  pipelines: {metrics: {receivers: [envoy, probes], exporters: [debug]}}
`, sink, console, console)))
	wait(t, "the gateway to listen", func() bool { return listening(sink) && listening(console) })
	crowd(t, sink)
	var o overviewed
	wait(t, "all edges to be told by both ends", func() bool {
		o = overviewed{}
		getJSON(t, "http://"+console+"/api/v1/overview", &o)
		both := 0
		for _, e := range o.Sections.Mesh.Edges {
			if len(e.Reporters) == 2 {
				both++
			}
		}
		return both >= crowdEdges*9/10
	})
	if len(o.Sections.Mesh.Funnels) == 0 || len(o.Sections.Probes) == 0 || o.Missing["dns"] != "the extension dns is not configured" {
		t.Errorf("got %d funnels, probes %s, missing %v", len(o.Sections.Mesh.Funnels), o.Sections.Probes, o.Missing)
	}
	var edge struct{ Failures, History []json.RawMessage }
	getJSON(t, "http://"+console+"/api/v1/mesh/edge?id="+o.Sections.Mesh.Edges[0].ID, &edge)
	if len(edge.Failures) == 0 {
		t.Error("no failing request of the first edge")
	}

	const quiet, busy = 2 * time.Second, 8 * time.Second
	before := cpuSeconds(t, p.cmd.Process.Pid)
	time.Sleep(quiet)
	after := cpuSeconds(t, p.cmd.Process.Pid)
	alone := (after - before) / quiet.Seconds()
	took := poll(t, console, 50, busy)
	with := (cpuSeconds(t, p.cmd.Process.Pid) - after) / busy.Seconds()
	if len(took) == 0 {
		t.Fatal("no answer")
	}
	median, p99 := took[len(took)/2], took[len(took)*99/100]
	t.Logf("%d edges, 50 pages, %d answers: median %v, p99 %v (budget 50ms); the gateway takes %.3f CPU-s a second, without pages %.3f",
		len(o.Sections.Mesh.Edges), len(took), median, p99, with, alone)
	if p99 > 5*time.Second {
		t.Errorf("p99 %v", p99)
	}
}

// What is told as one crowd is one.
func TestCrowd(t *testing.T) {
	seen := map[[2]int]bool{}
	for n := range crowdEdges {
		from, to := crowdEdge(n)
		if from == to || from < 0 || seen[[2]int{from, to}] {
			t.Fatalf("edge %d: %d to %d", n, from, to)
		}
		seen[[2]int{from, to}] = true
	}
}
