package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	rpcService   = "demo.Backend"
	answerMethod = "/" + rpcService + "/Answer" // or waits: see x-hold
	refuseMethod = "/" + rpcService + "/Refuse"

	answerTime  = 20 * time.Second // within which every request has its answer, however busy the machine is
	rpcDeadline = time.Second      // of the caller that leaves by it; the application must have the call by then
)

// A caller sends requests by one Envoy to one version of the application, and checks each answer. Not for concurrent use.
type caller struct {
	from, to proxy
	web      *http.Client
	rpc      *grpc.ClientConn
	direct   *http.Client // to the application itself, past all Envoys
	dialer   net.Dialer   // by the Envoy
	sent     int          // requests and TCP connections
	holds    int
}

func newCaller(from, to proxy) (*caller, error) {
	var dialer net.Dialer
	if from.role == client {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from.ip)} // a sidecar's own application
	}
	rpc, err := grpc.NewClient("passthrough:///"+from.address(),
		grpc.WithAuthority(fmt.Sprintf("%s:%d", serviceHost, grpcPort)),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		return nil, err
	}
	web := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", from.address())
	}}
	return &caller{from: from, to: to, rpc: rpc, dialer: dialer, web: &http.Client{Transport: web}, direct: &http.Client{Transport: &http.Transport{}}}, nil
}

func (c *caller) close() {
	c.web.CloseIdleConnections()
	c.direct.CloseIdleConnections()
	_ = c.rpc.Close()
}

// A sender sends what one run of a trial needs. An answer that is not the expected one is an error.
type sender func(ctx context.Context, c *caller) error

// get asks for a path and expects a status.
func get(path string, want int) sender {
	return func(ctx context.Context, c *caller) error {
		c.sent++
		return c.get(ctx, path, want)
	}
}

func (c *caller) get(ctx context.Context, path string, want int) error {
	got, err := fetch(ctx, c.web, fmt.Sprintf("http://%s:%d%s", serviceHost, httpPort, path), c.to.version)
	if err == nil && got != want {
		err = fmt.Errorf("status %d, expected %d", got, want)
	}
	return err
}

func fetch(ctx context.Context, by *http.Client, url, version string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("x-version", version)
	response, err := by.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// call calls a gRPC method and expects a code.
func call(method string, want codes.Code) sender {
	return func(ctx context.Context, c *caller) error {
		c.sent++
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, "x-version", c.to.version, "x-code", strconv.Itoa(int(want)))
		err := c.rpc.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
		if got := status.Code(err); got != want {
			return fmt.Errorf("gRPC code %v, expected %v: %w", got, want, err)
		}
		return nil
	}
}

// hold is a path below route whose request stays with the application until release, and the key it has there.
func (c *caller) hold(route string) (path, key string) {
	c.holds++
	key = fmt.Sprintf("%s-%s-%d", c.from.name(), c.to.version, c.holds)
	return route + "hold/" + key, key
}

// tell asks the application itself.
func (c *caller) tell(ctx context.Context, verb, key string) error {
	got, err := fetch(ctx, c.direct, fmt.Sprintf("http://%s:%d/app/%s/%s", c.to.ip, httpPort, verb, key), "")
	if err == nil && got != http.StatusOK {
		err = fmt.Errorf("%s %s: status %d", verb, key, got)
	}
	return err
}

// outwait asks for something that takes longer than the route's timeout.
func outwait(ctx context.Context, c *caller) error {
	path, _ := c.hold("/hurried/")
	return get(path, http.StatusGatewayTimeout)(ctx, c)
}

// giveUp leaves as soon as the application has the request.
func giveUp(ctx context.Context, c *caller) error {
	path, key := c.hold("/app/")
	leaving, leave := context.WithCancel(ctx)
	defer leave()
	answer := make(chan error, 1)
	c.sent++
	go func() { answer <- c.get(leaving, path, 0) }()
	if err := c.tell(ctx, "held", key); err != nil {
		return err
	}
	leave()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		return fmt.Errorf("expected to leave before an answer: %w", err)
	}
	return nil
}

// leaveCall leaves a gRPC call that the application has: cancelled, or at the deadline that the caller set for itself.
func leaveCall(code codes.Code) sender {
	return func(ctx context.Context, c *caller) error {
		_, key := c.hold("")
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		leaving, leave := context.WithCancel(ctx)
		if code == codes.DeadlineExceeded {
			leaving, leave = context.WithTimeout(ctx, rpcDeadline)
		}
		defer leave()
		answer := make(chan error, 1)
		c.sent++
		go func() {
			call := metadata.AppendToOutgoingContext(leaving, "x-version", c.to.version, "x-hold", key)
			answer <- c.rpc.Invoke(call, answerMethod, &emptypb.Empty{}, &emptypb.Empty{})
		}()
		if err := c.tell(ctx, "held", key); err != nil {
			return err
		}
		if code == codes.Canceled {
			leave()
		}
		if err := <-answer; status.Code(err) != code {
			return fmt.Errorf("expected to leave with %v: %w", code, err)
		}
		return nil
	}
}

// overflow fills the cluster that takes one request at a time: one is held, one more may wait, the others overflow.
func overflow(ctx context.Context, c *caller) error {
	path, key := c.hold("/scarce/")
	served := make(chan error, 1)
	c.sent++
	go func() { served <- c.get(ctx, path, http.StatusOK) }()
	if err := c.tell(ctx, "held", key); err != nil {
		return err
	}
	type answer struct {
		status int
		err    error
	}
	answers := make(chan answer, overflows+1)
	for range overflows + 1 {
		c.sent++
		go func() {
			status, err := fetch(ctx, c.web, fmt.Sprintf("http://%s:%d/scarce/status/200", serviceHost, httpPort), c.to.version)
			answers <- answer{status, err}
		}()
	}
	expect := func(want int) error {
		a := <-answers
		if a.err == nil && a.status != want {
			a.err = fmt.Errorf("status %d, expected %d", a.status, want)
		}
		return a.err
	}
	for range overflows {
		if err := expect(http.StatusServiceUnavailable); err != nil {
			return err
		}
	}
	if err := c.tell(ctx, "release", key); err != nil {
		return err
	}
	return errors.Join(<-served, expect(http.StatusOK))
}
