package envoy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// request is the message of a stream with one entry.
func request(id string, code uint32, path string) *accesslogv3.StreamAccessLogsMessage {
	return &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslogdatav3.HTTPAccessLogEntry{{
			CommonProperties: &accesslogdatav3.AccessLogCommon{AccessLogType: accesslogdatav3.AccessLogType_DownstreamEnd},
			Request:          &accesslogdatav3.HTTPRequestProperties{RequestId: id, Path: path},
			Response:         &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(code)},
		}}},
	}}
}

// stream opens a stream of the recorded node, which r observes.
func stream(t testing.TB, r *recorder) *mesh.Stream {
	t.Helper()
	node, err := mesh.ReadNode(encoded(t, recorded(t)[0]), r.idc)
	require.NoError(t, err)
	r.aggregator.Observe(&mesh.Observer{Want: r.want, See: r.see})
	s := r.aggregator.Open(node)
	t.Cleanup(s.Close)
	return s
}

// ids returns the request ids of all records, in order.
func ids(sink *consumertest.LogsSink) (ids []string) {
	for _, logs := range sink.AllLogs() {
		for _, resource := range logs.ResourceLogs().All() {
			for _, record := range resource.ScopeLogs().At(0).LogRecords().All() {
				id, _ := record.Attributes().Get("request_id")
				ids = append(ids, id.Str())
			}
		}
	}
	return ids
}

func TestNodesBecomeResources(t *testing.T) {
	r, sink := newRecording(t, func(c *Config) {
		c.RecordAttributes = map[string]AttributeConfig{"mesh": {Metadata: "MESH_ID"}, "app.name": {Metadata: "LABELS/app"}, "absent": {Metadata: "ABSENT"}}
	})
	s, again := stream(t, r), stream(t, r)
	require.NoError(t, s.Add(encoded(t, request("a", 200, "/"))))
	require.NoError(t, again.Add(encoded(t, request("b", 200, "/"))))
	require.NoError(t, r.flush(t.Context()))
	require.Len(t, sink.AllLogs(), 1)
	require.Equal(t, 1, sink.AllLogs()[0].ResourceLogs().Len(), "both streams are of one node")
	resource := sink.AllLogs()[0].ResourceLogs().At(0)
	require.Equal(t, schemaURL, resource.SchemaUrl())
	const id = "sidecar~10.1.2.3~reviews-v1-6b8d9c7f5-abcde.default~default.svc.cluster.local"
	require.Equal(t, map[string]any{
		"service.name": "reviews", "service.version": "v1", "service.namespace": "default", "service.instance.id": id,
		"k8s.pod.name": "reviews-v1-6b8d9c7f5-abcde", "k8s.deployment.name": "reviews-v1", "k8s.namespace.name": "default", "k8s.cluster.name": "Kubernetes",
		"node": id, "log_name": "http_log", "idc": "r1", "gateway": "gw1", "mesh": "cluster.local", "app.name": "reviews",
	}, resource.Resource().Attributes().AsRaw())
}

func TestRecordsWithoutRoomAreDropped(t *testing.T) {
	r, sink := newRecording(t, nil)
	r.room = 5000
	s := stream(t, r)
	for i := range 100 {
		require.NoError(t, s.Add(encoded(t, request(fmt.Sprint(i), 503, "/"))))
	}
	require.LessOrEqual(t, r.bytes, r.room)
	require.NoError(t, r.flush(t.Context()))
	kept := len(ids(sink))
	require.Positive(t, kept)
	require.EqualValues(t, 100-kept, r.full.Load())
	// there is room again
	require.NoError(t, s.Add(encoded(t, request("later", 503, "/"))))
	require.NoError(t, r.flush(t.Context()))
	require.Contains(t, ids(sink), "later")
}

func TestRefusedRecordsComeAgain(t *testing.T) {
	r, sink := newRecording(t, nil)
	r.nextLogs = consumertest.NewErr(errors.New("queue is full"))
	s := stream(t, r)
	require.NoError(t, s.Add(encoded(t, request("a", 503, "/"))))
	require.Error(t, r.flush(t.Context()))
	held := r.bytes
	require.Positive(t, held)
	require.NoError(t, s.Add(encoded(t, request("b", 503, "/"))))
	r.nextLogs = sink
	require.NoError(t, r.flush(t.Context()))
	require.Equal(t, []string{"a", "b"}, ids(sink))
	require.Zero(t, r.bytes)
	require.NoError(t, r.flush(t.Context()))
	require.Len(t, ids(sink), 2, "nothing comes twice")
}

func TestRecordsRefusedForGoodAreDropped(t *testing.T) {
	r, _ := newRecording(t, nil)
	r.nextLogs = consumertest.NewErr(consumererror.NewPermanent(errors.New("too old")))
	s := stream(t, r)
	require.NoError(t, s.Add(encoded(t, request("a", 503, "/"))))
	require.ErrorContains(t, r.flush(t.Context()), "too old")
	require.EqualValues(t, 1, r.refused.Load())
	require.Zero(t, r.bytes)
	require.NoError(t, r.flush(t.Context()))
}

// The generated types refuse what the walk of package mesh does not look at.
func TestUnreadableEntryIsCounted(t *testing.T) {
	r, sink := newRecording(t, nil)
	s := stream(t, r)
	require.NoError(t, s.Add([]byte(strings.ReplaceAll(string(encoded(t, request("a", 503, "/BAD"))), "/BAD", "/\xff\xfe\xfd"))))
	require.NoError(t, s.Add(encoded(t, request("b", 503, "/"))))
	require.NoError(t, r.flush(t.Context()))
	require.EqualValues(t, 1, r.unreadable.Load())
	require.Equal(t, []string{"b"}, ids(sink))
	require.Zero(t, r.bytes)
}

func TestRequestsOfRecordsStayBelowTheirBound(t *testing.T) {
	r, sink := newRecording(t, nil)
	s := stream(t, r)
	const n = 2000
	for i := range n {
		require.NoError(t, s.Add(encoded(t, request(fmt.Sprint(i), 503, "/"+strings.Repeat("p", 1500)))))
	}
	require.NoError(t, r.flush(t.Context()))
	require.Greater(t, len(sink.AllLogs()), 1)
	for _, logs := range sink.AllLogs() {
		require.LessOrEqual(t, (&plog.ProtoMarshaler{}).LogsSize(logs), requestBytes)
	}
	require.Len(t, ids(sink), n)
}

// Records do not wait for the next tick when half of the room is taken.
func TestHalfOfTheRoomIsFlushedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sink := newRecording(t, func(c *Config) { c.FlushInterval = time.Hour })
		r.room = 4000
		ctx, stop := context.WithCancel(t.Context())
		go r.run(ctx)
		s := stream(t, r)
		for i := 0; r.full.Load() == 0 && i < 50; i++ {
			require.NoError(t, s.Add(encoded(t, request(fmt.Sprint(i), 503, "/"))))
			synctest.Wait()
		}
		require.Zero(t, r.full.Load())
		require.Greater(t, len(ids(sink)), 40)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, ids(sink), 50, "the tick flushes the rest")
		require.NoError(t, s.Add(encoded(t, request("alone", 503, "/"))))
		synctest.Wait()
		require.NotContains(t, ids(sink), "alone")
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Contains(t, ids(sink), "alone")
		stop()
		synctest.Wait()
	})
}

// The whole way: a real Envoy's stream in, records out at shutdown, beside the metrics.
func TestRecordedStreamBecomesRecords(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := receivertest.NewNopSettings(NewFactory().Type())
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	c := defaultConfig()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.NetAddr.Endpoint = listener.Addr().String()
	require.NoError(t, listener.Close())
	c.AccessLogs, c.FlushInterval = "all", time.Hour
	metrics, sink := &consumertest.MetricsSink{}, &consumertest.LogsSink{}
	factory := NewFactory()
	r, err := factory.CreateMetrics(t.Context(), set, c, metrics)
	require.NoError(t, err)
	logs, err := factory.CreateLogs(t.Context(), set, c, sink)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, logs.Start(t.Context(), componenttest.NewNopHost()))
	conn, err := grpc.NewClient(c.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, send(t, accesslogv3.NewAccessLogServiceClient(conn), recorded(t)))
	own := logs.(*sharedReceiver).recorder
	require.Eventually(t, func() bool { return own.aggregator.Totals().Streams == 0 }, 5*time.Second, time.Millisecond)
	require.NoError(t, own.flush(t.Context()))
	for name, want := range map[string]int{"lockkeeper_records_total": sink.LogRecordCount(), "lockkeeper_records_dropped_total": 0} {
		metric, err := telemetry.GetMetric(name)
		require.NoError(t, err)
		var got int64
		for _, p := range metric.Data.(metricdata.Sum[int64]).DataPoints {
			got += p.Value
		}
		require.EqualValues(t, want, got, name)
	}
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, logs.Shutdown(t.Context()))
	var requests int64
	for _, n := range counted(metrics) {
		requests += n
	}
	require.Positive(t, requests)
	require.EqualValues(t, requests, sink.LogRecordCount())
}

func TestOwner(t *testing.T) {
	f := func(s, kind, name string) {
		t.Helper()
		gotKind, gotName := owner(s)
		require.Equal(t, []string{kind, name}, []string{gotKind, gotName})
	}
	f("kubernetes://apis/apps/v1/namespaces/default/deployments/productpage-v1", "deployment", "productpage-v1")
	f("kubernetes://apis/batch/v1/namespaces/default/cronjobs/nightly", "cronjob", "nightly")
	f("kubernetes://apis/v1/namespaces/default/pods/naked", "pod", "naked")
	f("kubernetes://apis/argoproj.io/v1/namespaces/default/rollouts/a", "", "")
	f("kubernetes://apis/", "", "")
	f("", "", "")
}

func BenchmarkRecord(b *testing.B) {
	r, _ := newRecording(b, nil)
	e := seen(b, r, entriesOf(b, "testdata/entries/http_UF+URX.binpb")[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.record(&e); err != nil {
			b.Fatal(err)
		}
	}
}
