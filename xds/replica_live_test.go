package xds

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Gateways that decide the same serve the same, whatever each has been through: an Envoy whose gateway ends goes to another one, and is sent nothing that it
// has (delta), or takes it for what it has (state of the world). What the other one decided meanwhile it is sent.
func TestEnvoyMovesToAnotherGateway(t *testing.T) {
	for _, apiType := range []string{"DELTA_GRPC", "GRPC"} {
		t.Run(apiType, func(t *testing.T) {
			const files = `clusters: [{name: app, endpoints: [{address: "10.0.0.1:80", idc: idc1}, {address: "10.0.0.2:80", idc: idc2}]}, {name: other, endpoints: [{address: "10.0.0.9:80"}]}]`
			var gateways []*replica
			var addresses []string
			for i := range 3 {
				f := startFleet(t, map[string]string{"endpoints.yaml": files})
				for range i { // each has a past of its own
					f.decider.decide(Serving{Out: dead("endpoint/10.0.0.1:80"), IDCs: shares(1, 2)})
				}
				f.decider.decide(Serving{IDCs: shares(5_000, 5_000)})
				gateways = append(gateways, startReplica(t, f))
				addresses = append(addresses, gateways[i].address)
			}
			admin := startEnvoy(t, apiType, aggregated, addresses...)
			within(t, "the first state", func() bool { return hosts(t, admin) == "10.0.0.1 10.0.0.2" })
			within(t, "the other cluster", func() bool { return strings.Contains(get(t, admin+"/clusters"), "other::10.0.0.9") })
			was := unsettled(t, admin)

			var past []*replica
			next := func() *replica {
				var at *replica
				within(t, "Envoy to ask a gateway", func() bool {
					i := slices.IndexFunc(gateways, func(r *replica) bool {
						return !slices.Contains(past, r) && r.asked(ClusterType) > 1 && r.asked(AssignmentType) > 0
					})
					if i >= 0 {
						at = gateways[i]
					}
					return at != nil
				})
				past = append(past, at)
				return at
			}
			end := func() { past[len(past)-1].stop() }
			require.Len(t, next().told(ClusterType), 2)
			end()
			second := next()
			if apiType == "GRPC" {
				within(t, "an answer to everything, sent again", func() bool { return second.asked(AssignmentType) > 1 })
			}
			third := gateways[slices.IndexFunc(gateways, func(r *replica) bool { return !slices.Contains(past, r) })]
			third.fleet.decider.decide(Serving{IDCs: shares(5_000, 5_000), Out: dead("endpoint/10.0.0.1:80")})
			require.Equal(t, was, unsettled(t, admin), "something changed in Envoy")
			end()
			require.Same(t, third, next())
			within(t, "what the third gateway took out", func() bool { return hosts(t, admin) == "10.0.0.2" })
			t.Logf("the second gateway sent %v, the third %v", second.told(ClusterType, AssignmentType), third.told(ClusterType, AssignmentType))
			if apiType == "DELTA_GRPC" {
				require.Empty(t, second.told(ClusterType, AssignmentType))
				require.Equal(t, []string{"app"}, third.told(ClusterType, AssignmentType))
			}
		})
	}
}

// unsettled are Envoy's own counters of what became different.
func unsettled(t *testing.T, admin string) (all []string) {
	for line := range strings.Lines(get(t, admin+"/stats?filter=cluster_(added|modified|removed)|cluster.(app|other).membership_(change|total)|warming_clusters")) {
		all = append(all, strings.TrimSpace(line))
	}
	require.Greater(t, len(all), 6)
	return all
}

// replica is a server of a fleet's cache that notes what it is asked and what it tells.
type replica struct {
	fleet   *fleet
	address string
	stop    func()

	mu        sync.Mutex
	requests  map[string]int      // by type
	responses map[string][]string // by type: resources, or "-NAME"
}

func startReplica(t *testing.T, f *fleet) *replica {
	r := &replica{fleet: f, requests: map[string]int{}, responses: map[string][]string{}}
	server := NewServer(f.cache, Options{NACK: func(n NACK) { t.Errorf("refused: %+v", n) }})
	grpcServer := grpc.NewServer(ServerOption(), grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		return handle(service, &tapped{ServerStream: stream, t: t, by: r, delta: strings.Contains(info.FullMethod, "/Delta")})
	}))
	server.Register(grpcServer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.address = listener.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = grpcServer.Serve(listener) }()
	r.stop = sync.OnceFunc(func() {
		server.Close()
		grpcServer.Stop()
		<-done
	})
	t.Cleanup(r.stop)
	return r
}

// asked is how many requests there were for a type. The first one of a stream subscribes; the next one acknowledges the first response.
func (r *replica) asked(typeURL string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests[typeURL]
}

func (r *replica) told(types ...string) (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range types {
		all = append(all, r.responses[one]...)
	}
	return all
}

type tapped struct {
	grpc.ServerStream
	t     *testing.T
	by    *replica
	delta bool
}

func (s *tapped) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if r, ok := m.(*request); ok && err == nil {
		s.by.mu.Lock()
		defer s.by.mu.Unlock()
		s.by.requests[r.typeURL]++
	}
	return err
}

func (s *tapped) SendMsg(m any) error {
	pieces, err := codec{}.Marshal(m)
	require.NoError(s.t, err)
	var delta discoveryv3.DeltaDiscoveryResponse
	var state discoveryv3.DiscoveryResponse
	var told []string
	if s.delta {
		require.NoError(s.t, proto.Unmarshal(pieces.Materialize(), &delta))
	} else {
		require.NoError(s.t, proto.Unmarshal(pieces.Materialize(), &state))
	}
	for range state.GetResources() {
		told = append(told, "one")
	}
	for _, resource := range delta.GetResources() {
		told = append(told, resource.GetName())
	}
	for _, name := range delta.GetRemovedResources() {
		told = append(told, "-"+name)
	}
	s.by.mu.Lock()
	defer s.by.mu.Unlock()
	typeURL := delta.GetTypeUrl() + state.GetTypeUrl()
	s.by.responses[typeURL] = append(s.by.responses[typeURL], told...)
	return s.ServerStream.SendMsg(m)
}
