package xds

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// The fan-out benchmarks take one host out of 50 of 100 clusters with 100 endpoints each, and put it back. Each client has a stream, up to 8,000 a
// connection of its own over loopback, subscribes to all 100 assignments by delta, and acknowledges. The clients are in the same process: what they take is in the figures.
const (
	fanClusters  = 100
	fanEndpoints = 100
	fanChanged   = 50

	fanConnections = 8_000 // two files each, and a process may often open 20,000
)

func BenchmarkFanout1000(b *testing.B)             { benchmarkFanout(b, 1_000, fanOurs) }
func BenchmarkFanout1000LinearCache(b *testing.B)  { benchmarkFanout(b, 1_000, fanLinear) }
func BenchmarkFanout10000(b *testing.B)            { benchmarkFanout(b, 10_000, fanOurs) }
func BenchmarkFanout10000LinearCache(b *testing.B) { benchmarkFanout(b, 10_000, fanLinear) }

// fanOurs registers our server and returns what makes an update.
func fanOurs(b *testing.B, to *grpc.Server) func(map[string]*endpointv3.ClusterLoadAssignment) {
	cache := NewCache()
	server := NewServer(cache, Options{})
	b.Cleanup(server.Close)
	server.Register(to)
	return func(all map[string]*endpointv3.ClusterLoadAssignment) {
		changes := make(map[string]*Resource, len(all))
		for name, m := range all {
			r, err := NewResource(name, m)
			require.NoError(b, err)
			changes[name] = r
		}
		cache.Update(map[string]map[string]*Resource{AssignmentType: changes})
	}
}

func fanLinear(b *testing.B, to *grpc.Server) func(map[string]*endpointv3.ClusterLoadAssignment) {
	cache := cachev3.NewLinearCache(AssignmentType)
	endpointservicev3.RegisterEndpointDiscoveryServiceServer(to, serverv3.NewServer(b.Context(), cache, nil))
	return func(all map[string]*endpointv3.ClusterLoadAssignment) {
		changes := make(map[string]types.Resource, len(all))
		for name, m := range all {
			changes[name] = m
		}
		require.NoError(b, cache.UpdateResources(changes, nil))
	}
}

func benchmarkFanout(b *testing.B, clients int, register func(*testing.B, *grpc.Server) func(map[string]*endpointv3.ClusterLoadAssignment)) {
	server := grpc.NewServer(ServerOption())
	update := register(b, server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(server.Stop)
	update(fanAssignments(fanClusters, fanEndpoints))
	f := &fan{got: make(chan time.Time, clients)}
	f.open(b, listener.Addr().String(), clients)
	f.wait(b, clients)

	var latencies []time.Duration
	out := [2]map[string]*endpointv3.ClusterLoadAssignment{fanAssignments(fanChanged, fanEndpoints-1), fanAssignments(fanChanged, fanEndpoints)}
	cpu := cpuTime()
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		update(out[i%2])
		for _, at := range f.wait(b, clients) {
			latencies = append(latencies, at.Sub(start))
		}
	}
	b.ReportMetric(float64((cpuTime()-cpu).Milliseconds())/float64(b.N), "CPU-ms/op")
	slices.Sort(latencies)
	at := func(q float64) float64 {
		return float64(latencies[min(len(latencies)-1, int(q*float64(len(latencies))))].Microseconds()) / 1000
	}
	b.ReportMetric(at(.5), "p50-ms")
	b.ReportMetric(at(.99), "p99-ms")
	b.ReportMetric(residentMiB(b), "RSS-MiB")
}

func fanAssignments(clusters, endpoints int) map[string]*endpointv3.ClusterLoadAssignment {
	all := make(map[string]*endpointv3.ClusterLoadAssignment, clusters)
	for c := range clusters {
		locality := &endpointv3.LocalityLbEndpoints{}
		for e := range endpoints {
			socket := &corev3.SocketAddress{Address: fmt.Sprintf("10.1.%d.%d", c, e), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 8080}}
			locality.LbEndpoints = append(locality.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
				Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: socket}}},
			}})
		}
		name := fmt.Sprintf("outbound|8080||service-%d.default.svc.cluster.local", c)
		all[name] = &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{locality}}
	}
	return all
}

// fan is many clients.
type fan struct{ got chan time.Time }

// skim is a response of which a client reads the nonce only, and copies nothing.
type skim struct{ nonce string }

type skimCodec struct{ encoding.CodecV2 }

func (c skimCodec) Unmarshal(data mem.BufferSlice, v any) error {
	s, ok := v.(*skim)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	r := data.Reader()
	defer r.Close()
	for r.Remaining() > 0 {
		tag, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		if tag>>3 != 5 {
			if _, err := r.Discard(int(size)); err != nil {
				return err
			}
			continue
		}
		nonce := make([]byte, size)
		if _, err := io.ReadFull(r, nonce); err != nil {
			return err
		}
		s.nonce = string(nonce)
	}
	return nil
}

func (f *fan) open(b *testing.B, address string, clients int) {
	var names []string
	for name := range fanAssignments(fanClusters, 0) {
		names = append(names, name)
	}
	first := &discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "client"}, TypeUrl: AssignmentType, ResourceNamesSubscribe: names}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	b.Cleanup(running.Wait)
	b.Cleanup(cancel)
	var conn *grpc.ClientConn
	for i := range clients {
		if i%(1+clients/fanConnections) == 0 {
			conn = fanDial(b, address)
		}
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, endpointservicev3.EndpointDiscoveryService_DeltaEndpoints_FullMethodName)
		require.NoError(b, err)
		require.NoError(b, s.SendMsg(first))
		running.Go(func() {
			for {
				var r skim
				if s.RecvMsg(&r) != nil {
					return
				}
				f.got <- time.Now()
				if s.SendMsg(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: AssignmentType, ResponseNonce: r.nonce}) != nil {
					return
				}
			}
		})
	}
}

func fanDial(b *testing.B, address string) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(1<<20), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(skimCodec{encoding.GetCodecV2(proto.Name)})))
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

// wait tells when each client got a response.
func (f *fan) wait(b *testing.B, clients int) []time.Time {
	all := make([]time.Time, 0, clients)
	for range clients {
		select {
		case at := <-f.got:
			all = append(all, at)
		case <-time.After(2 * time.Minute):
			b.Fatalf("%d of %d clients heard nothing", clients-len(all), clients)
		}
	}
	return all
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func residentMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Log(err) // not Linux
		return 0
	}
	pages, err := strconv.Atoi(strings.Fields(string(status))[1])
	require.NoError(b, err)
	return float64(pages*os.Getpagesize()) / (1 << 20)
}
