package xds

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// stormy is one of many clients that come at once.
type stormy struct {
	mu  sync.Mutex
	has map[string]string // content by name, "-": told that it is gone
}

// follow asks for everything, telling the versions that it has, and acknowledges until ctx ends. It does not fail a test, as the stream may end whenever.
func (c *stormy) follow(ctx context.Context, t *testing.T, conn *grpc.ClientConn, versions map[string]string) {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources")
	if err != nil {
		return
	}
	err = s.SendMsg(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "client"}, TypeUrl: AssignmentType, ResourceNamesSubscribe: []string{"*"}, InitialResourceVersions: versions,
	})
	for err == nil {
		var r discoveryv3.DeltaDiscoveryResponse
		if err = s.RecvMsg(&r); err != nil {
			return
		}
		c.mu.Lock()
		for _, resource := range r.GetResources() {
			name, value, _ := strings.Cut(content(t, resource.GetResource()), "=")
			c.has[name] = value
		}
		for _, name := range r.GetRemovedResources() {
			c.has[name] = "-"
		}
		c.mu.Unlock()
		err = s.SendMsg(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: AssignmentType, ResponseNonce: r.GetNonce()})
	}
}

// Five hundred clients come at once, some with versions that lie, while what is served changes; they all go at once and come again. Each has in the end what is so, is not sent what it
// has, and nothing is left of those that went.
func TestManyComeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, Options{})
		w.set("eds a=1 b=1")
		right := w.cache.find(AssignmentType, "a").Version
		for round := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			clients := make([]*stormy, 500)
			for i := range clients {
				clients[i] = &stormy{has: map[string]string{}}
				versions := map[string]string{"a": right}
				if i%2 == 1 {
					versions = map[string]string{"a": "a lie", "b": right, "c": right, strings.Repeat("x", i): ""}
				}
				running.Go(func() { clients[i].follow(ctx, t, w.conn, versions) })
			}
			newest := 0
			for n := range 20 {
				newest = 100*(round+1) + n
				w.set(fmt.Sprintf("eds b=%d", newest))
			}
			synctest.Wait()
			for i, c := range clients {
				want := map[string]string{"b": fmt.Sprint(newest)}
				if i%2 == 1 {
					want["a"], want["c"], want[strings.Repeat("x", i)] = "1", "-", "-"
				}
				require.Equal(t, want, c.has, "client %d of round %d", i, round)
			}
			require.Len(t, w.cache.streams, len(clients))
			cancel()
			running.Wait()
			synctest.Wait()
			require.Empty(t, w.cache.streams)
		}
	})
}
