package envoy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// recorded reads the start of a stream that a real Envoy sent.
func recorded(t testing.TB) []*accesslogv3.StreamAccessLogsMessage {
	t.Helper()
	f, err := os.Open("testdata/http_stream.binpb")
	require.NoError(t, err)
	defer f.Close()
	var messages []*accesslogv3.StreamAccessLogsMessage
	in := bufio.NewReader(f)
	for {
		m := &accesslogv3.StreamAccessLogsMessage{}
		if err := (protodelim.UnmarshalOptions{MaxSize: 1 << 20}).UnmarshalFrom(in, m); errors.Is(err, io.EOF) {
			return messages
		} else if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
}

// start runs a receiver on a free port and returns it with a client.
func start(t *testing.T, next consumer.Metrics, change func(*Config)) (*envoyReceiver, accesslogv3.AccessLogServiceClient) {
	t.Helper()
	return startOn(t, componenttest.NewNopHost(), next, change)
}

// startOn is start beside the extensions of a host.
func startOn(t *testing.T, host component.Host, next consumer.Metrics, change func(*Config)) (*envoyReceiver, accesslogv3.AccessLogServiceClient) {
	t.Helper()
	c := NewFactory().CreateDefaultConfig().(*Config)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.NetAddr.Endpoint = listener.Addr().String()
	require.NoError(t, listener.Close())
	c.FlushInterval = time.Hour // the tests flush by shutting down
	c.Gateway = "gw1"
	if change != nil {
		change(c)
	}
	require.NoError(t, c.Validate())
	r, err := newReceiver(receivertest.NewNopSettings(NewFactory().Type()), c)
	require.NoError(t, err)
	r.next = next
	require.NoError(t, r.Start(t.Context(), host))
	t.Cleanup(func() { _ = r.Shutdown(context.Background()) })
	conn, err := grpc.NewClient(c.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return r, accesslogv3.NewAccessLogServiceClient(conn)
}

// send opens a stream, sends messages and ends it. It returns the stream's error.
func send(t *testing.T, client accesslogv3.AccessLogServiceClient, messages []*accesslogv3.StreamAccessLogsMessage, options ...grpc.CallOption) error {
	t.Helper()
	stream, err := client.StreamAccessLogs(t.Context(), options...)
	require.NoError(t, err)
	for _, m := range messages {
		if stream.Send(m) != nil {
			break // the stream has ended: CloseAndRecv says why
		}
	}
	_, err = stream.CloseAndRecv()
	if errors.Is(err, io.EOF) || status.Code(err) == codes.Internal && strings.Contains(err.Error(), "cardinality violation") {
		return nil // ended without an answer, as ALS does
	}
	return err
}

// counted returns the final value of istio_requests_total by response code.
func counted(sink *consumertest.MetricsSink) map[string]int64 {
	total := map[string]int64{}
	for _, m := range sink.AllMetrics() {
		for _, metric := range m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			if metric.Name() != "istio_requests_total" {
				continue
			}
			for _, p := range metric.Sum().DataPoints().All() {
				code, _ := p.Attributes().Get("response_code")
				total[code.Str()] += p.IntValue()
			}
		}
	}
	return total
}

func TestRecordedStreamIsCountedAtShutdown(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	r, client := start(t, sink, nil)
	messages := recorded(t)
	require.NoError(t, send(t, client, messages))
	require.NoError(t, r.Shutdown(t.Context()))

	want := map[string]int64{}
	for _, m := range messages {
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			if e.GetCommonProperties().GetAccessLogType() == accesslogdatav3.AccessLogType_DownstreamEnd {
				want[e.GetResponse().GetResponseCode().String()]++
			}
		}
	}
	var got, sum int64
	for _, n := range counted(sink) {
		got += n
	}
	for _, n := range want {
		sum += n
	}
	require.Positive(t, sum)
	require.Equal(t, sum, got)
}

func TestNewSeriesStartsAtZeroAndNamesTheGateway(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	r, client := start(t, sink, nil)
	require.NoError(t, send(t, client, recorded(t)))
	require.NoError(t, r.Shutdown(t.Context()))
	metrics := sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	require.Equal(t, 4, metrics.Len())
	points := metrics.At(0).Sum().DataPoints()
	zero, value := points.At(0), points.At(1)
	require.Equal(t, pmetric.AggregationTemporalityCumulative, metrics.At(0).Sum().AggregationTemporality())
	require.Zero(t, zero.IntValue())
	require.Positive(t, value.IntValue())
	require.Equal(t, zero.Timestamp(), value.StartTimestamp())
	require.Less(t, zero.Timestamp(), value.Timestamp())
	gateway, _ := value.Attributes().Get("gateway")
	require.Equal(t, "gw1", gateway.Str())
	duration := metrics.At(1).Histogram().DataPoints().At(1)
	require.Equal(t, uint64(value.IntValue()), duration.Count())
	require.Equal(t, duration.ExplicitBounds().Len()+1, duration.BucketCounts().Len())
}

func TestCompressedStream(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	r, client := start(t, sink, nil)
	require.NoError(t, send(t, client, recorded(t), grpc.UseCompressor(gzip.Name)))
	require.NoError(t, r.Shutdown(t.Context()))
	require.NotEmpty(t, counted(sink))
}

func TestBadStreamsEndWithAnErrorAndHurtNobody(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	r, client := start(t, sink, func(c *Config) { c.MaxRecvMsgSizeMiB = 1 })
	good := recorded(t)

	nameless := proto.CloneOf(good[0])
	nameless.Identifier = nil
	err := send(t, client, []*accesslogv3.StreamAccessLogsMessage{nameless})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, "node.id")

	large := proto.CloneOf(good[0])
	large.Identifier.LogName = strings.Repeat("x", 2<<20)
	require.Equal(t, codes.ResourceExhausted, status.Code(send(t, client, []*accesslogv3.StreamAccessLogsMessage{large})))

	garbage := proto.CloneOf(good[0])
	garbage.ProtoReflect().SetUnknown([]byte{0x0b}) // a group that never ends
	require.Equal(t, codes.InvalidArgument, status.Code(send(t, client, []*accesslogv3.StreamAccessLogsMessage{good[0], garbage})))
	require.EqualValues(t, 2, r.refused.Load())

	require.NoError(t, send(t, client, good))
	require.NoError(t, r.Shutdown(t.Context()))
	require.NotEmpty(t, counted(sink))
}

func TestRefusedFlushComesAgain(t *testing.T) {
	refusing := consumertest.NewErr(errors.New("queue is full"))
	r, client := start(t, refusing, nil)
	require.NoError(t, send(t, client, recorded(t)))
	require.Eventually(t, func() bool { return r.aggregator.Totals().Streams == 0 }, 5*time.Second, time.Millisecond)
	require.Error(t, r.flush(t.Context(), time.Now()))
	sink := &consumertest.MetricsSink{}
	r.next = sink
	require.NoError(t, r.flush(t.Context(), time.Now()))
	require.NotEmpty(t, counted(sink))
}

func TestPortInUseNamesTheKey(t *testing.T) {
	first, _ := start(t, consumertest.NewNop(), nil)
	c := defaultConfig()
	c.NetAddr.Endpoint = first.config.NetAddr.Endpoint
	set := receivertest.NewNopSettings(NewFactory().Type())
	set.ID = component.NewID(NewFactory().Type())
	r, err := newReceiver(set, c)
	require.NoError(t, err)
	err = r.Start(t.Context(), componenttest.NewNopHost())
	require.ErrorContains(t, err, c.NetAddr.Endpoint)
	require.ErrorContains(t, err, "receivers::envoy::endpoint")
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestRequestsStayBelowTheirBound(t *testing.T) {
	sink := &consumertest.MetricsSink{}
	r, _ := start(t, sink, nil)
	series := make([]mesh.Series, 1)
	for _, l := range []string{"reporter", "source_workload", "destination_workload", "destination_service"} {
		series[0].Labels = append(series[0].Labels, mesh.Label{Name: l, Value: strings.Repeat("v", 40)})
	}
	for i := range 4 {
		series[0].New, series[0].TCP = i%2 == 1, i/2 == 1
		b, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(r.metrics(series, time.Now()))
		require.NoError(t, err)
		require.LessOrEqual(t, len(b), weight(&series[0])+512, "the weight is an upper estimate, but for the envelope")
	}
}

// A peer that is gone without a word answers no ping: its connection must not stay.
func TestHalfOpenConnectionIsClosed(t *testing.T) {
	r, _ := start(t, consumertest.NewNop(), func(c *Config) {
		ping := c.Keepalive.Get().ServerParameters.Get()
		ping.Time, ping.Timeout = time.Second, time.Second // the shortest that gRPC has
	})
	conn, err := net.Dial("tcp", r.config.NetAddr.Endpoint)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")) // preface, empty SETTINGS
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = io.Copy(io.Discard, conn)
	require.NoError(t, err, "the server has to end the connection")
}
