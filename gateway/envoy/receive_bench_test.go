package envoy

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	alsload "github.com/lockkeeper/lockkeeper/gateway/mesh/load"
)

// BenchmarkReceive is a receiver with eight streams, loaded from the same process: CPU-s/M is that of both ends, without an
// export. Of the whole gateway BenchmarkALS tells more; this one shows what a change of the receiver does.
func BenchmarkReceive(b *testing.B) {
	const streams, messages = 8, 512
	c := defaultConfig()
	c.FlushInterval = time.Hour // a slow run is not to have more flushes on its bill
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	c.NetAddr.Endpoint = listener.Addr().String()
	require.NoError(b, listener.Close())
	r, err := newReceiver(receivertest.NewNopSettings(NewFactory().Type()), c)
	require.NoError(b, err)
	require.NoError(b, r.Start(b.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(b, r.Shutdown(context.Background())) }()

	var clients [streams]grpc.ClientStream
	var load [streams][][]byte
	entries := 0
	for i := range clients {
		load[i], err = alsload.Messages(i, messages, alsload.Shape{AnyOrder: true})
		require.NoError(b, err)
		n, err := alsload.Entries(load[i])
		require.NoError(b, err)
		entries += n
		conn, err := grpc.NewClient(c.NetAddr.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(b, err)
		defer conn.Close()
		clients[i], err = conn.NewStream(b.Context(), &grpc.StreamDesc{ClientStreams: true},
			"/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", grpc.ForceCodecV2(sentAsIs{}))
		require.NoError(b, err)
	}
	var sent uint64
	round := func() {
		var all sync.WaitGroup
		for i, stream := range clients {
			all.Go(func() {
				for _, m := range load[i] {
					if stream.SendMsg(m) != nil {
						return
					}
				}
			})
		}
		all.Wait()
		sent += uint64(entries)
		for r.aggregator.Totals().All.Counted < sent {
			time.Sleep(time.Millisecond)
		}
	}
	round() // every series and peer is known from here on
	before := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
	b.ReportMetric((cpuTime(b)-before)/(float64(b.N)*float64(entries))*1e6, "CPU-s/M")
}

func cpuTime(b *testing.B) float64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// sentAsIs is a codec of messages that are encoded already.
type sentAsIs struct{}

func (sentAsIs) Name() string { return "proto" }

func (sentAsIs) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (sentAsIs) Unmarshal(mem.BufferSlice, any) error { return nil }
