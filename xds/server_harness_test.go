package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

func TestMain(m *testing.M) {
	if kind, ok := os.LookupEnv(fanEnvironment); ok {
		if err := fanServer(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// wire is a server and clients of it that follow a script, within a bubble of synctest.
type wire struct {
	t               *testing.T
	cache           *Cache
	server          *Server
	conn            *grpc.ClientConn
	delta, separate bool

	clients map[string]*client // by type, if separate; else under ""
	known   map[string]string  // versions of the streams before these, by type
	mu      sync.Mutex
	got     []string // responses since they were looked at
	hold    bool     // do not acknowledge
}

// client is one stream. Its names are those it asked for, by type.
type client struct {
	wire  *wire
	s     grpc.ClientStream
	first bool
	names map[string][]string
	nonce map[string]string

	version map[string]string // of the last response, of this stream or one before
}

func newWire(t *testing.T, options Options) *wire {
	w := &wire{t: t, cache: NewCache(), clients: map[string]*client{}, known: map[string]string{}}
	w.server = NewServer(w.cache, options)
	t.Cleanup(w.server.Close)
	w.connect(w.server.Register)
	return w
}

// connect serves what is registered.
func (w *wire) connect(register func(*grpc.Server)) {
	t := w.t
	grpcServer := grpc.NewServer(ServerOption())
	register(grpcServer)
	listener := bufconn.Listen(1 << 20)
	go func() { _ = grpcServer.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	w.conn = conn
	t.Cleanup(func() {
		_ = conn.Close()
		grpcServer.Stop()
		synctest.Wait()
	})
}

// set is one Update: "cds a=1 b=-; eds a=1".
func (w *wire) set(what string) {
	changes := map[string]map[string]*Resource{}
	for part := range strings.SplitSeq(what, ";") {
		words := strings.Fields(part)
		resources := map[string]*Resource{}
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			if value == "-" {
				resources[name] = nil
			} else {
				resources[name] = resource(w.t, words[0], name, value)
			}
		}
		changes[typeURLs()[words[0]]] = resources
	}
	w.cache.Update(changes)
}

func (w *wire) stream(kind string) *client {
	method := map[string]string{"cds": "cluster.v3.Cluster", "eds": "endpoint.v3.Endpoint", "lds": "listener.v3.Listener", "rds": "route.v3.Route"}[kind]
	plural := strings.TrimPrefix(method[strings.LastIndex(method, ".")+1:], ".") + "s"
	if !w.separate {
		kind, method, plural = "", "discovery.v3.Aggregated", "AggregatedResources"
	}
	c := w.clients[kind]
	if c != nil {
		return c
	}
	c = &client{wire: w, s: w.open(method, plural), first: true, names: map[string][]string{}, nonce: map[string]string{}, version: maps.Clone(w.known)}
	w.clients[kind] = c
	go c.receive()
	return c
}

func (w *wire) open(service, method string) grpc.ClientStream {
	verb := "Stream"
	if w.delta {
		verb = "Delta"
	}
	s, err := w.conn.NewStream(w.t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/envoy.service."+service+"DiscoveryService/"+verb+method)
	require.NoError(w.t, err)
	return s
}

func (c *client) receive() {
	for {
		line, typeURL, nonce, err := c.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.wire.hear("error " + status.Code(err).String())
			}
			return
		}
		c.wire.hear(line)
		c.last(typeURL, nonce)
		if !c.wire.hold {
			c.answer(typeURL, nonce, "")
		}
	}
}

// last sets, unless it is empty, and returns the nonce of the last response of a type.
func (c *client) last(typeURL, nonce string) string {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if nonce != "" {
		c.nonce[typeURL] = nonce
	}
	return c.nonce[typeURL]
}

func (w *wire) hear(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, line)
}

// heard returns all responses since the last time.
func (w *wire) heard() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.got = nil }()
	return strings.Join(w.got, "; ")
}

// next tells a response as scripts do: "cds a=1 b=1 -c".
func (c *client) next() (line, typeURL, nonce string, err error) {
	var words []string
	if c.wire.delta {
		var r discoveryv3.DeltaDiscoveryResponse
		if err := c.s.RecvMsg(&r); err != nil {
			return "", "", "", err
		}
		for _, resource := range r.GetResources() {
			words = append(words, content(c.wire.t, resource.GetResource()))
		}
		slices.Sort(words)
		for _, name := range r.GetRemovedResources() {
			words = append(words, "-"+name)
		}
		typeURL, nonce = r.GetTypeUrl(), r.GetNonce()
	} else {
		var r discoveryv3.DiscoveryResponse
		if err := c.s.RecvMsg(&r); err != nil {
			return "", "", "", err
		}
		for _, resource := range r.GetResources() {
			words = append(words, content(c.wire.t, resource))
		}
		slices.Sort(words)
		typeURL, nonce = r.GetTypeUrl(), r.GetNonce()
		c.version[typeURL] = r.GetVersionInfo()
	}
	return strings.Join(append([]string{shortType(typeURL)}, words...), " "), typeURL, nonce, nil
}

// answer acknowledges a response or, if there is a reason, does not.
func (c *client) answer(typeURL, nonce, why string) {
	var detail *rpcstatus.Status
	if why != "" {
		detail = &rpcstatus.Status{Code: 3, Message: why}
	}
	if c.wire.delta {
		_ = c.s.SendMsg(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce, ErrorDetail: detail})
		return
	}
	_ = c.s.SendMsg(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, VersionInfo: c.version[typeURL], ResponseNonce: nonce, ErrorDetail: detail, ResourceNames: c.names[typeURL]})
}

// ask sends a request. State of the world: all names, "eds a b"; delta: "eds +a -b ?c=1", where the last says what it has.
func (c *client) ask(words []string) {
	typeURL := typeURLs()[words[0]]
	var node *corev3.Node
	if c.first {
		node = &corev3.Node{Id: "client"}
	}
	c.first = false
	if !c.wire.delta {
		c.names[typeURL] = words[1:]
		_ = c.s.SendMsg(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: typeURL, ResourceNames: words[1:], VersionInfo: c.version[typeURL], ResponseNonce: c.last(typeURL, "")})
		return
	}
	r := &discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: typeURL, InitialResourceVersions: map[string]string{}}
	if c.last(typeURL, "") == older {
		r.ResponseNonce = older
	}
	for _, word := range words[1:] {
		switch name := word[1:]; word[0] {
		case '+':
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, name)
		case '-':
			r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, name)
		case '?':
			name, value, _ := strings.Cut(name, "=")
			r.InitialResourceVersions[name] = resource(c.wire.t, words[0], name, value).Version
		}
	}
	_ = c.s.SendMsg(r)
}

// older is a nonce of no response there was.
const older = "older"

// play follows a script, one step a line.
func (w *wire) play(script string) {
	for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(rest)
		switch verb {
		case "set": // an Update
			w.set(rest)
		case "ask": // a request
			w.stream(words[0]).ask(words)
		case "want": // all responses since the last time
			synctest.Wait()
			require.Equal(w.t, rest, w.heard(), "%s, in\n%s", line, script)
		case "hold": // acknowledge nothing by itself from now on
			w.hold = true
		case "ack", "nack": // the last response of a type
			c := w.stream(words[0])
			typeURL := typeURLs()[words[0]]
			c.answer(typeURL, c.last(typeURL, ""), map[string]string{"nack": "refused"}[verb])
		case "stale": // a request that answers no response there was
			c := w.stream(words[0])
			c.last(typeURLs()[words[0]], older)
			c.ask(words)
		case "anonymous": // the next stream names no node
			c := w.stream(words[0])
			c.first = false
		case "reconnect": // forget the streams, but not their versions
			for _, c := range w.clients {
				maps.Copy(w.known, c.version)
				_ = c.s.CloseSend()
			}
			synctest.Wait()
			clear(w.clients)
		default:
			w.t.Fatalf("no such step: %q", line)
		}
	}
}
