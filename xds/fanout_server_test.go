package xds

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	endpointservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc"
)

// fanEnvironment makes the test's binary serve what fan-out is measured with: fanOurs or fanLinear.
const (
	fanEnvironment = "LOCKKEEPER_XDS_FANOUT"

	fanOurs   = "lockkeeper"
	fanLinear = "linearcache"
)

// fanSource is 100 clusters of 100 endpoints in two IDCs, and the machine "down" has one in every other cluster.
func fanSource() string {
	var text strings.Builder
	text.WriteString("clusters:\n")
	for c := range 100 {
		fmt.Fprintf(&text, "- name: outbound|8080||service-%d.default.svc.cluster.local\n  endpoints:\n", c)
		for e := range 100 {
			machine := fmt.Sprintf("m%d", (e+c/2*100)%5_000)
			if e == 0 && c%2 == 0 {
				machine = "down"
			}
			fmt.Fprintf(&text, "  - {address: '10.%d.0.%d:80', machine: %s, idc: idc%d}\n", c, e, machine, e%2+1)
		}
	}
	return text.String()
}

func fanServing(out bool) *Serving {
	s := &Serving{IDCs: shares(5_000, 5_000)}
	if out {
		s.Out = dead("machine/down")
	}
	return s
}

// fanServer serves fanSource in a process of its own: ours is the extension as it is configured by default, with metrics that are kept. It tells its address. Then each line that it
// reads is something to do: out, back, or usage, which it answers by its CPU time in nanoseconds and the most memory that it has had, in bytes.
func fanServer(kind string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	serve := map[string]func(context.Context) (net.Addr, func(*Serving) error, error){fanOurs: fanServeOurs, fanLinear: fanServeLinear}[kind]
	if serve == nil {
		return fmt.Errorf("%s=%s: there is no such server", fanEnvironment, kind)
	}
	address, apply, err := serve(ctx)
	if err != nil {
		return err
	}
	fmt.Println(address)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "usage" {
			var usage syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
				return err
			}
			most, err := mostMemory()
			if err != nil {
				return err
			}
			fmt.Println(usage.Utime.Nano()+usage.Stime.Nano(), most)
		} else if err := apply(fanServing(lines.Text() == "out")); err != nil {
			return err
		}
	}
	return lines.Err()
}

func fanServeOurs(ctx context.Context) (net.Addr, func(*Serving) error, error) {
	cfg := createDefaultConfig()
	cfg.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.Keepalive = configoptional.None[configgrpc.KeepaliveServerConfig]() // on a busy machine 8,000 clients in a process answer pings late
	cfg.Sources = []SourceConfig{{File: "endpoints.yaml"}}                  // its directory is the benchmark's
	if err := os.WriteFile(cfg.Sources[0].File, []byte(fanSource()), 0o600); err != nil {
		return nil, nil, err
	}
	set := componenttest.NewNopTelemetrySettings()
	set.MeterProvider = metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
	x := newXDS(cfg, set)
	if err := x.Start(ctx, extensions{}); err != nil {
		return nil, nil, err
	}
	x.apply(fanServing(false))
	return x.listener.Addr(), func(s *Serving) error { x.apply(s); return nil }, nil
}

// fanServeLinear serves what ours does by go-control-plane's LinearCache.
func fanServeLinear(ctx context.Context) (net.Addr, func(*Serving) error, error) {
	clusters, err := joined(fanSource())
	if err != nil {
		return nil, nil, err
	}
	cache := cachev3.NewLinearCache(AssignmentType)
	apply := func(s *Serving, clusters []*Cluster) error {
		changes := make(map[string]types.Resource, len(clusters))
		for _, cluster := range clusters {
			changes[cluster.Name], _ = assign(cluster, s)
		}
		return cache.UpdateResources(changes, nil)
	}
	var concerned []*Cluster
	for _, n := range (&Content{Clusters: clusters}).index()["machine/down"] {
		concerned = append(concerned, clusters[n])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	to := grpc.NewServer()
	endpointservicev3.RegisterEndpointDiscoveryServiceServer(to, serverv3.NewServer(ctx, cache, nil))
	go func() { _ = to.Serve(listener) }()
	return listener.Addr(), func(s *Serving) error { return apply(s, concerned) }, apply(fanServing(false), clusters)
}

// mostMemory is the most that was resident of this process. What the kernel tells of its usage may be of who started it.
func mostMemory() (bytes int64, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, nil // not Linux
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscanf(after, "%d kB", &bytes)
	return bytes << 10, err
}
