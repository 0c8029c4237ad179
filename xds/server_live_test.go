package xds

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A real Envoy follows what the cache says, by each protocol. The times are logged; they are bounded far beyond what is usual.
func TestEnvoyFollows(t *testing.T) {
	for i, apiType := range []string{"GRPC", "DELTA_GRPC"} {
		t.Run(apiType, func(t *testing.T) {
			cache, address := serveLive(t)
			setLive(t, cache, "1s", map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.2": 0, "10.0.0.3": 0})
			admin := startEnvoy(t, address, apiType, i)
			follows := func(what, want string) {
				took := within(t, what, func() bool { return hosts(t, admin) == want })
				t.Logf("%s: %v", what, took.Round(100*time.Microsecond))
			}
			follows("the first state", "10.0.0.1 10.0.0.2 10.0.0.3")
			setLive(t, cache, "1s", map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.2": 0})
			follows("a removal", "10.0.0.1 10.0.0.2")
			setLive(t, cache, "1s", map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.2": corev3.HealthStatus_DRAINING})
			follows("a drain", "10.0.0.1 10.0.0.2/draining")
			setLive(t, cache, "2s", map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.4": 0})
			follows("a changed cluster with its assignment", "10.0.0.1 10.0.0.4")
			within(t, "the cluster to be warm", func() bool { return strings.Contains(get(t, admin+"/config_dump"), `"connect_timeout": "2s"`) })
			setLive(t, cache, "3s", map[string]corev3.HealthStatus{"10.0.0.1": 0, "10.0.0.4": 0})
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

// setLive is one Update of a cluster and its assignment.
func setLive(t *testing.T, cache *Cache, timeout string, endpoints map[string]corev3.HealthStatus) {
	t.Helper()
	d, err := time.ParseDuration(timeout)
	require.NoError(t, err)
	ads := &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
	c, err := NewResource("app", &clusterv3.Cluster{
		Name: "app", ConnectTimeout: durationpb.New(d), ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads, ServiceName: "service"},
	})
	require.NoError(t, err)
	a := &endpointv3.ClusterLoadAssignment{ClusterName: "service", Endpoints: []*endpointv3.LocalityLbEndpoints{{
		Locality: &corev3.Locality{Zone: "idc1"}, LoadBalancingWeight: wrapperspb.UInt32(1),
	}}}
	for address, health := range endpoints {
		ip, port, found := strings.Cut(address, ":")
		if !found {
			port = "80"
		}
		number, err := strconv.ParseUint(port, 10, 16)
		require.NoError(t, err)
		socket := &corev3.SocketAddress{Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(number)}}
		a.Endpoints[0].LbEndpoints = append(a.Endpoints[0].LbEndpoints, &endpointv3.LbEndpoint{
			HealthStatus:   health,
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: socket}}}},
		})
	}
	e, err := NewResource("service", a)
	require.NoError(t, err)
	cache.Update(map[string]map[string]*Resource{ClusterType: {"app": c}, AssignmentType: {"service": e}})
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

// within waits for a condition and tells how long it took.
func within(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > time.Minute {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
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

func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Close = true
	r, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(body)
}

// startEnvoy starts one that takes its clusters from an xDS server, and returns its admin page's URL.
func startEnvoy(t *testing.T, address, apiType string, number int) string {
	t.Helper()
	binary, err := filepath.Abs("../.cache/venv/bin/envoy")
	require.NoError(t, err)
	if _, err := os.Stat(binary); err != nil {
		if strings.Contains(","+os.Getenv("LOCKKEEPER_REQUIRE")+",", ",envoy,") {
			t.Fatal("needs a real Envoy: make envoy")
		}
		t.Skip("needs a real Envoy: make envoy")
	}
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	adminFile := filepath.Join(t.TempDir(), "admin")
	bootstrap := fmt.Sprintf(`
node: {id: live, cluster: live}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
dynamic_resources:
  cds_config: {resource_api_version: V3, ads: {}}
  ads_config: {api_type: %s, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}
static_resources:
  clusters:
  - name: xds
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: xds, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}]}
`, apiType, host, port)
	require.NoError(t, os.WriteFile(file, []byte(bootstrap), 0o600))
	var output bytes.Buffer
	cmd := exec.Command(binary, "-c", file, "--base-id", strconv.Itoa(7600+number), "--concurrency", "1", "-l", "warn", "--admin-address-path", adminFile)
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	var admin string
	within(t, "Envoy's admin address", func() bool {
		b, err := os.ReadFile(adminFile)
		admin = "http://" + strings.TrimSpace(string(b))
		return err == nil && len(b) > 0
	})
	return admin
}
