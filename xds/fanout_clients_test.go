package xds

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// fanConnections is how many connections clients have: a process may often open 20,000 files, and there are two servers' clients in one.
const fanConnections = 8_000

// fanClients are many clients of one server.
type fanClients struct {
	name  string // of the server
	n     int
	got   chan time.Time // each response
	ended chan error     // the first stream that ended
}

func openFanClients(b *testing.B, name, address string, n int) *fanClients {
	f := &fanClients{name: name, n: n, got: make(chan time.Time, n), ended: make(chan error, 1)}
	names := make([]string, 0, 100)
	for c := range cap(names) {
		names = append(names, fmt.Sprintf("outbound|8080||service-%d.default.svc.cluster.local", c))
	}
	first := &discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "client"}, TypeUrl: AssignmentType, ResourceNamesSubscribe: names}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	b.Cleanup(running.Wait)
	b.Cleanup(cancel)
	connections := make([]*grpc.ClientConn, min(n, fanConnections))
	for i := range n {
		conn := &connections[i%len(connections)]
		if *conn == nil {
			*conn = fanDial(b, address)
		}
		s, err := (*conn).NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, endpointservicev3.EndpointDiscoveryService_DeltaEndpoints_FullMethodName)
		require.NoError(b, err)
		require.NoError(b, s.SendMsg(first))
		running.Go(func() { f.receive(s) })
	}
	return f
}

func (f *fanClients) receive(s grpc.ClientStream) {
	for {
		var r skim
		if err := s.RecvMsg(&r); err != nil {
			select {
			case f.ended <- err:
			default:
			}
			return
		}
		f.got <- time.Now()
		_ = s.SendMsg(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: AssignmentType, ResponseNonce: r.nonce}) // else RecvMsg tells
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
func (f *fanClients) wait(b *testing.B) []time.Time {
	all := make([]time.Time, 0, f.n)
	for range f.n {
		select {
		case at := <-f.got:
			all = append(all, at)
		case err := <-f.ended:
			b.Fatalf("%s: %d of %d clients heard nothing, one of them since %v", f.name, f.n-len(all), f.n, err)
		case <-time.After(2 * time.Minute):
			b.Fatalf("%s: %d of %d clients heard nothing", f.name, f.n-len(all), f.n)
		}
	}
	return all
}

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
