package envoy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// rawCodec sends messages that are encoded already.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return errors.New("nothing is answered") }

// BenchmarkStatsService is a round of 1,000 Envoys with 700 stats each, a third of which changes, over gRPC into the receiver and,
// encoded, out of it. CPU is that of the whole process, which sends, too.
func BenchmarkStatsService(b *testing.B) {
	const nodes, families = 1000, 700
	c := defaultConfig()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	c.NetAddr.Endpoint, c.FlushInterval = listener.Addr().String(), time.Hour
	require.NoError(b, listener.Close())
	r, err := newReceiver(receivertest.NewNopSettings(NewFactory().Type()), c)
	require.NoError(b, err)
	points := 0
	r.next, err = consumer.NewMetrics(func(_ context.Context, m pmetric.Metrics) error {
		points += m.DataPointCount()
		_, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(m)
		return err
	})
	require.NoError(b, err)
	require.NoError(b, r.Start(b.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(b, r.Shutdown(context.Background())) }()

	var streams []grpc.ClientStream
	for range 20 {
		conn, err := grpc.NewClient(c.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		require.NoError(b, err)
		defer conn.Close()
		for range nodes / 20 {
			s, err := conn.NewStream(b.Context(), &grpc.StreamDesc{ClientStreams: true}, "/envoy.service.metrics.v3.MetricsService/StreamMetrics")
			require.NoError(b, err)
			streams = append(streams, s)
		}
	}
	all := recordedStats(b)
	messages := rounds(b, all[len(all)-1], families)
	for i, s := range streams {
		id := proto.CloneOf(all[0].GetIdentifier())
		id.Node.Id = fmt.Sprintf("sidecar~10.0.0.1~web-%d.default", i)
		first, err := proto.Marshal(&metricsv3.StreamMetricsMessage{Identifier: id})
		require.NoError(b, err)
		require.NoError(b, s.SendMsg(append(first, messages[0]...)))
	}
	sent := uint64(nodes)
	arrived := func() {
		for received(r) < sent {
			time.Sleep(time.Millisecond)
		}
	}
	arrived()
	require.NoError(b, r.flush(b.Context(), time.Now()))
	points = 0
	before := cpu(b)
	round := 0
	for b.Loop() {
		round++
		var senders sync.WaitGroup
		for part := range 4 {
			senders.Go(func() {
				for i := part; i < nodes; i += 4 {
					if err := streams[i].SendMsg(messages[round%len(messages)]); err != nil {
						b.Error(err)
					}
				}
			})
		}
		senders.Wait()
		sent += nodes
		arrived()
		require.NoError(b, r.flush(b.Context(), time.Now()))
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/round")
	b.ReportMetric(float64(points)/float64(b.N), "points/round")
}

// rounds are messages with so many families, of which a third changes from one to the next.
func rounds(b *testing.B, of *metricsv3.StreamMetricsMessage, families int) (messages [][]byte) {
	b.Helper()
	m := &metricsv3.StreamMetricsMessage{}
	for i := 0; len(m.EnvoyMetrics) < families; i++ {
		f := proto.CloneOf(of.EnvoyMetrics[i%len(of.EnvoyMetrics)])
		f.Name = proto.String(fmt.Sprintf("%s%d", f.GetName(), i/len(of.EnvoyMetrics)))
		m.EnvoyMetrics = append(m.EnvoyMetrics, f)
	}
	for round := range 4 {
		for i, f := range m.EnvoyMetrics {
			metric := f.Metric[0]
			metric.TimestampMs = proto.Int64(int64(1000 * (round + 1)))
			if i%3 != 0 {
				continue
			}
			if c := metric.GetCounter(); c != nil {
				c.Value = proto.Float64(c.GetValue() + 1)
			} else if g := metric.GetGauge(); g != nil {
				g.Value = proto.Float64(float64(round))
			}
		}
		encoded, err := proto.Marshal(m)
		require.NoError(b, err)
		messages = append(messages, encoded)
	}
	return messages
}

func received(r *envoyReceiver) (n uint64) {
	for _, of := range r.stats.Totals().Messages {
		n += of
	}
	return n
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
