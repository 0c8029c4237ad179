package xds

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // the scheme xds:
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// grpc-go's own xDS client follows a removal and a drain. It reads its bootstrap when its process starts, so it has one of its own.
func TestGRPCFollows(t *testing.T) {
	cache, address := serveLive(t)
	a, b, c := backend(t), backend(t), backend(t)
	cache.Update(map[string]map[string]*Resource{ListenerType: {"app": grpcListener(t)}, RouteType: {"route": grpcRoute(t)}})
	setLive(t, cache, "1s", map[string]corev3.HealthStatus{a: 0, b: 0, c: 0})
	calls := startCaller(t, address)
	follows := func(what string, want ...string) {
		slices.Sort(want)
		took := within(t, what, func() bool { return slices.Equal(calls.reached(), want) })
		t.Logf("%s: %v, seen in the last %d calls of one every %v", what, took.Round(time.Millisecond), callsLooked, callEvery)
	}
	follows("the first state", a, b, c)
	setLive(t, cache, "1s", map[string]corev3.HealthStatus{a: 0, b: 0})
	follows("a removal", a, b)
	setLive(t, cache, "1s", map[string]corev3.HealthStatus{a: 0, b: corev3.HealthStatus_DRAINING})
	follows("a drain", a)
	setLive(t, cache, "1s", map[string]corev3.HealthStatus{a: 0, b: 0, c: 0})
	follows("their return", a, b, c)
}

const (
	callEvery   = 2 * time.Millisecond
	callsLooked = 30
)

// callerVariable names the address that TestCaller calls; it is set in its process only.
const callerVariable = "LOCKKEEPER_TEST_CALLER"

// TestCaller calls and says whom it reached, until its output is closed.
func TestCaller(t *testing.T) {
	target := os.Getenv(callerVariable)
	if target == "" {
		return // TestGRPCFollows runs it
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	for range time.Tick(callEvery) {
		err := conn.Invoke(t.Context(), "/any/call", &emptypb.Empty{}, &emptypb.Empty{})
		if _, err := fmt.Println("reached", status.Convert(err).Message()); err != nil {
			return
		}
	}
}

// caller is what TestCaller says, in another process.
type caller struct {
	mu   sync.Mutex
	last []string
}

func startCaller(t *testing.T, address string) *caller {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCaller$", "-test.v")
	cmd.Env = append(os.Environ(), callerVariable+"=xds:///app", "GRPC_XDS_BOOTSTRAP_CONFIG="+
		`{"xds_servers": [{"server_uri": "`+address+`", "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}], "node": {"id": "caller"}}`)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &caller{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if to, ok := strings.CutPrefix(lines.Text(), "reached "); ok {
				c.mu.Lock()
				c.last = append(c.last, to)
				c.last = c.last[max(0, len(c.last)-callsLooked):]
				c.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return c
}

// reached are the backends of the last calls.
func (c *caller) reached() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.last) < callsLooked {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(c.last)))
}

// backend answers each call by its own address, as an error.
func backend(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.Aborted, address) }))
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return address
}

func grpcListener(t *testing.T) *Resource {
	t.Helper()
	pack := func(m proto.Message) *anypb.Any {
		a, err := anypb.New(m)
		require.NoError(t, err)
		return a
	}
	ads := &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
	r, err := NewResource("app", &listenerv3.Listener{Name: "app", ApiListener: &listenerv3.ApiListener{ApiListener: pack(&hcmv3.HttpConnectionManager{
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: ads, RouteConfigName: "route"}},
		HttpFilters:    []*hcmv3.HttpFilter{{Name: "router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})}}},
	})}})
	require.NoError(t, err)
	return r
}

func grpcRoute(t *testing.T) *Resource {
	t.Helper()
	r, err := NewResource("route", &routev3.RouteConfiguration{Name: "route", VirtualHosts: []*routev3.VirtualHost{{
		Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "app"}}},
		}},
	}}})
	require.NoError(t, err)
	return r
}
