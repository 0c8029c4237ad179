package xds

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // the scheme xds:
	"google.golang.org/protobuf/types/known/emptypb"
)

// grpc-go's own xDS client follows a removal and a drain. It reads its bootstrap when its process starts, so it has one of its own.
func TestGRPCFollows(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCaller$", "-test.v")
	cmd.Env = append(os.Environ(), callerVariable+"=xds:///app")
	follows(t, cmd)
}

// follows has a client that is a process of its own call three servers, of which the extension takes one out and drains another.
func follows(t *testing.T, client *exec.Cmd) {
	a, b, c := backend(t), backend(t), backend(t)
	f := startFleet(t, map[string]string{"endpoints.yaml": fmt.Sprintf(grpcEndpoints, a, b, c), "listeners.yaml": readmeBlocks(t, "yaml")[3], "routes.yaml": grpcRoutes})
	calls := startCaller(t, client, f.listener.Addr().String())
	reach := func(what string, out map[string]Out, want ...string) {
		f.decider.decide(Serving{Out: out})
		slices.Sort(want)
		took := within(t, what, func() bool { return slices.Equal(calls.reached(), want) })
		t.Logf("%s: %v, seen in the last %d calls of one every %v", what, took.Round(time.Millisecond), callsLooked, callEvery)
	}
	reach("the first state", nil, a, b, c)
	reach("a removal", dead(endpointPrefix+c), a, b)
	reach("a drain beside it", merged(dead(endpointPrefix+c), gray(endpointPrefix+b)), a)
	reach("their return", nil, a, b, c)
	reach("a drain", gray(endpointPrefix+a), b, c)
	require.Zero(t, f.logs.FilterMessageSnippet("refuses").Len(), "%v", f.logs.All())
}

func merged(some, more map[string]Out) map[string]Out {
	maps.Copy(some, more)
	return some
}

// What gRPC calls app. Its listener and its bootstrap are those of the README.
const (
	grpcEndpoints = "clusters: [{name: app, http2: true, endpoints: [{address: %q, idc: idc1}, {address: %q, idc: idc1}, {address: %q, idc: idc1}]}]"
	grpcRoutes    = `resources: [{name: app, virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: ""}, route: {cluster: app}}]}]}]`
)

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

// caller is what a process says of whom it reached.
type caller struct {
	mu   sync.Mutex
	last []string
}

func startCaller(t *testing.T, cmd *exec.Cmd, address string) *caller {
	t.Helper()
	bootstrap := strings.ReplaceAll(readmeBlocks(t, "json")[0], "localhost:18000", address)
	require.Contains(t, bootstrap, address)
	cmd.Env = append(cmd.Environ(), "GRPC_XDS_BOOTSTRAP_CONFIG="+bootstrap)
	var problems bytes.Buffer
	cmd.Stderr = &problems
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
		if t.Failed() {
			t.Log(problems.String())
		}
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
