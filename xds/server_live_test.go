package xds

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A real Envoy follows what the cache says, by each protocol. The times are logged; they are bounded far beyond what is usual.
func TestEnvoyFollows(t *testing.T) {
	for _, of := range []struct{ name, apiType, source string }{
		{"state, aggregated", "GRPC", aggregated},
		{"state, separate", "GRPC", separate("GRPC")},
		{"delta, aggregated", "DELTA_GRPC", aggregated},
		{"delta, separate", "DELTA_GRPC", separate("DELTA_GRPC")},
	} {
		t.Run(of.name, func(t *testing.T) {
			cache, address := serveLive(t)
			set := func(timeout time.Duration, endpoints map[string]corev3.HealthStatus) {
				cache.Update(liveUpdate(t, of.source, timeout, endpoints))
			}
			set(1*time.Second, map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.2": 0, "10.0.0.3": 0})
			admin := startEnvoy(t, of.apiType, of.source, address)
			follows := func(what, want string) {
				took := within(t, what, func() bool { return hosts(t, admin) == want })
				t.Logf("%s: %v", what, took.Round(100*time.Microsecond))
			}
			follows("the first state", "10.0.0.1 10.0.0.2 10.0.0.3")
			set(1*time.Second, map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.2": 0})
			follows("a removal", "10.0.0.1 10.0.0.2")
			set(1*time.Second, map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.2": corev3.HealthStatus_DRAINING})
			follows("a drain", "10.0.0.1 10.0.0.2/draining")
			set(2*time.Second, map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.4": 0})
			follows("a changed cluster with its assignment", "10.0.0.1 10.0.0.4")
			within(t, "the cluster to be warm", func() bool { return strings.Contains(get(t, admin+"/config_dump"), `"connect_timeout": "2s"`) })
			set(3*time.Second, map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.4": 0})
			took := within(t, "a changed cluster alone", func() bool {
				dump := get(t, admin+"/config_dump?resource=dynamic_active_clusters")
				return strings.Contains(dump, `"connect_timeout": "3s"`)
			})
			t.Logf("a changed cluster alone is warm: %v", took.Round(100*time.Microsecond))
			cache.Replace(ClusterType, nil)
			within(t, "the cluster to be gone", func() bool { return hosts(t, admin) == "" })
		})
	}
}

// liveUpdate is a cluster and its assignment, which comes from a source.
func liveUpdate(t *testing.T, source string, timeout time.Duration, endpoints map[string]corev3.HealthStatus) map[string]map[string]*Resource {
	t.Helper()
	from := &corev3.ConfigSource{}
	require.NoError(t, protojson.Unmarshal([]byte(source), from))
	c, err := NewResource("app", &clusterv3.Cluster{
		Name: "app", ConnectTimeout: durationpb.New(timeout), ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: from, ServiceName: "service"},
	})
	require.NoError(t, err)
	a := &endpointv3.ClusterLoadAssignment{ClusterName: "service", Endpoints: []*endpointv3.LocalityLbEndpoints{{
		Locality: &corev3.Locality{Zone: "idc1"}, LoadBalancingWeight: wrapperspb.UInt32(1),
	}}}
	for ip, health := range endpoints {
		socket := &corev3.SocketAddress{Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 80}}
		a.Endpoints[0].LbEndpoints = append(a.Endpoints[0].LbEndpoints, &endpointv3.LbEndpoint{
			HealthStatus:   health,
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: socket}}}},
		})
	}
	e, err := NewResource("service", a)
	require.NoError(t, err)
	return map[string]map[string]*Resource{ClusterType: {"app": c}, AssignmentType: {"service": e}}
}

// serveLive serves a cache on loopback TCP.
func serveLive(t testing.TB) (*Cache, string) {
	t.Helper()
	cache := NewCache()
	server := NewServer(cache, Options{NACK: func(n NACK) { t.Errorf("refused: %+v", n) }})
	grpcServer := grpc.NewServer(ServerOption())
	server.Register(grpcServer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = grpcServer.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		grpcServer.GracefulStop()
		<-done
	})
	return cache, listener.Addr().String()
}

// hosts are those of the cluster app: "10.0.0.1 10.0.0.2/draining".
func hosts(t *testing.T, admin string) string {
	t.Helper()
	var all struct {
		Clusters []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
					} `json:"socket_address"`
				} `json:"address"`
				Health struct {
					EDS string `json:"eds_health_status"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	require.NoError(t, json.Unmarshal([]byte(get(t, admin+"/clusters?format=json")), &all))
	var found []string
	for _, c := range all.Clusters {
		for _, h := range c.Hosts {
			if c.Name != "app" {
				continue
			}
			host := h.Address.Socket.Address
			if h.Health.EDS == "DRAINING" {
				host += "/draining"
			}
			found = append(found, host)
		}
	}
	return strings.Join(slices.Sorted(slices.Values(found)), " ")
}
