package envoy

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/google/go-cmp/cmp"
	client "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// readRecording reads a recording with protobuf's own reader of the format.
func readRecording(t *testing.T, from io.Reader) (messages []*accesslogv3.StreamAccessLogsMessage) {
	t.Helper()
	for in := bufio.NewReader(from); ; {
		m := &accesslogv3.StreamAccessLogsMessage{}
		if err := protodelim.UnmarshalFrom(in, m); errors.Is(err, io.EOF) {
			return messages
		} else if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
}

func TestRecordingHoldsEveryMessageAndItsNode(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), nil)
	address := serve(t, r.recordMessages)
	all, other := follow(t, address), follow(t, address+"?kind=als&node=other")
	stats, named := follow(t, address+"?kind=stats"), follow(t, address+"?log_name="+recorded(t)[0].GetIdentifier().GetLogName())
	require.NoError(t, send(t, client, recorded(t)))
	require.NoError(t, r.Shutdown(t.Context())) // ends the recordings

	want := recorded(t)
	identifier := want[0].GetIdentifier()
	identifier.GetNode().Extensions = nil
	for _, m := range want {
		m.Identifier = identifier
	}
	for _, response := range []*http.Response{all, named} {
		require.Empty(t, cmp.Diff(want, readRecording(t, response.Body), protocmp.Transform()))
		require.Equal(t, "0", response.Trailer.Get(droppedTrailer))
	}
	require.Empty(t, readRecording(t, other.Body))
	require.Empty(t, readRecording(t, stats.Body))
	require.Nil(t, r.taps.now.Load(), "nobody records any more")
}

// Stats are recorded as access logs are, and the doctor sees who sends them.
func TestRecordingOfStats(t *testing.T) {
	r, _ := start(t, consumertest.NewNop(), nil)
	response := follow(t, serve(t, r.recordMessages)+"?kind=stats&node=n1")
	conn, err := grpc.NewClient(r.config.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	stream, err := metricsv3.NewMetricsServiceClient(conn).StreamMetrics(t.Context())
	require.NoError(t, err)
	want := &metricsv3.StreamMetricsMessage{
		Identifier: &metricsv3.StreamMetricsMessage_Identifier{Node: &corev3.Node{Id: "n1"}},
		EnvoyMetrics: []*client.MetricFamily{{
			Name: proto.String("server.live"), Type: client.MetricType_GAUGE.Enum(),
			Metric: []*client.Metric{{Gauge: &client.Gauge{Value: proto.Float64(1)}}},
		}},
	}
	require.NoError(t, stream.Send(want))
	require.NoError(t, stream.Send(&metricsv3.StreamMetricsMessage{EnvoyMetrics: want.EnvoyMetrics}))
	in := bufio.NewReader(response.Body)
	for range 2 {
		var got metricsv3.StreamMetricsMessage
		require.NoError(t, protodelim.UnmarshalFrom(in, &got))
		require.Empty(t, cmp.Diff(want, &got, protocmp.Transform()))
	}
	status := r.senders.status(time.Now())
	require.Len(t, status, 1)
	require.Equal(t, 1, status[0].Stats)
	require.NoError(t, stream.CloseSend())
}

// A recording may begin in the middle of a stream, and ends when its time is over.
func TestRecordingOfARunningStream(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), nil)
	stream, err := client.StreamAccessLogs(t.Context())
	require.NoError(t, err)
	messages := recorded(t)
	require.NoError(t, stream.Send(messages[0]))
	require.Eventually(t, func() bool { return r.aggregator.Totals().Streams == 1 }, 5*time.Second, time.Millisecond)
	response := follow(t, serve(t, r.recordMessages)+"?for=300ms")
	require.NoError(t, stream.Send(messages[1]))
	got := readRecording(t, response.Body)
	require.Len(t, got, 1)
	require.Equal(t, messages[0].GetIdentifier().GetNode().GetId(), got[0].GetIdentifier().GetNode().GetId())
	require.Empty(t, cmp.Diff(messages[1].GetHttpLogs(), got[0].GetHttpLogs(), protocmp.Transform()))
	require.NoError(t, stream.CloseSend())
}

// A client that does not read costs a bounded amount of memory and no stream's time; what it misses is counted.
func TestRecordingDropsForSlowClients(t *testing.T) {
	var total live
	slow, err := parseRecording(nil)
	require.NoError(t, err)
	slow.total = &total.dropped
	var t0 taps
	t0.add(slow)
	of := newTapped(kindALS, &mesh.Node{ID: "n1"}, nil)
	message := make([]byte, 0, 1<<20)
	message = append(message, 0x12, 0xfb, 0xff, 0x3f) // field 2 of 1 MiB - 5
	message = message[:1<<20-1]
	for range 40 {
		t0.see(of, message)
	}
	require.EqualValues(t, 9, total.dropped.Load(), "32 MiB wait")
	for range tapMessages + 10 {
		t0.see(of, nil)
	}
	require.EqualValues(t, 9+31+10, total.dropped.Load())
	require.Equal(t, total.dropped.Load(), slow.dropped.Load())
	require.NoError(t, slow.rest(newAnswer(httptest.NewRecorder(), "")))
	require.Zero(t, slow.pending.Load())
}

func TestRecordRefuses(t *testing.T) {
	r, _ := start(t, consumertest.NewNop(), nil)
	address := serve(t, r.recordMessages)
	f := func(query string, wantCode int, want string) {
		t.Helper()
		response := follow(t, address+"?"+query)
		require.Equal(t, wantCode, response.StatusCode)
		var body struct{ Error string }
		require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
		require.Contains(t, body.Error, want)
	}
	f("kind=logs", 400, `parameter "kind": "logs": must be als or stats`)
	f("for=soon", 400, `parameter "for"`)
	f("for=-1s", 400, `must be above 0`)
	f("app=web", 400, "use kind, node, log_name, for")
	for range maxLive {
		require.NoError(t, r.recordings.enter())
	}
	f("", 503, "8 clients record already")
}

func FuzzRecordOf(f *testing.F) {
	whole, err := proto.Marshal(&accesslogv3.StreamAccessLogsMessage{
		Identifier: &accesslogv3.StreamAccessLogsMessage_Identifier{LogName: "l", Node: &corev3.Node{Id: "n", Extensions: []*corev3.Extension{{Name: "x"}}}},
	})
	require.NoError(f, err)
	f.Add(whole, []byte{0x12, 0})
	f.Add([]byte{0x0b}, []byte{0x0a, 0x80})
	f.Fuzz(func(t *testing.T, first, message []byte) {
		of := newTapped(kindALS, &mesh.Node{}, first)
		record := recordOf(of.identifier, message)
		var want, got accesslogv3.StreamAccessLogsMessage
		if proto.Unmarshal(first, &got) != nil || proto.Unmarshal(message, &want) != nil {
			return
		}
		if want.Identifier = got.Identifier; want.Identifier.GetNode() != nil {
			want.Identifier.Node.Extensions = nil
		}
		in := readRecordingBytes(record)
		require.NoError(t, proto.Unmarshal(in, &got))
		proto.Reset(&got)
		require.NoError(t, proto.Unmarshal(in, &got))
		require.Empty(t, cmp.Diff(&want, &got, protocmp.Transform()))
	})
}

// readRecordingBytes is a record without its length.
func readRecordingBytes(record []byte) []byte {
	for i, b := range record {
		if b < 0x80 {
			return record[i+1:]
		}
	}
	return nil
}
