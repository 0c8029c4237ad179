package xds

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// typeURLs are the types as scripts name them.
func typeURLs() map[string]string {
	return map[string]string{
		"cds": ClusterType, "eds": AssignmentType, "lds": ListenerType, "rds": RouteType,
		"sds": typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret", "odd": "example.com/odd", "none": "",
	}
}

func shortType(typeURL string) string {
	for short, full := range typeURLs() {
		if full == typeURL {
			return short
		}
	}
	return typeURL
}

// resource makes one whose content is a number. A cluster's is followed, if it has one, by / and its assignment's name.
func resource(t testing.TB, kind, name, content string) *Resource {
	t.Helper()
	content, service, isEDS := strings.Cut(content, "/")
	var m proto.Message
	switch kind {
	case "cds":
		c := &clusterv3.Cluster{Name: name, AltStatName: content}
		if isEDS {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
			c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{ServiceName: service}
		}
		m = c
	case "eds":
		n, err := strconv.ParseUint(content, 10, 32)
		require.NoError(t, err)
		m = &endpointv3.ClusterLoadAssignment{ClusterName: name, Policy: &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(uint32(n))}}
	case "lds":
		m = &listenerv3.Listener{Name: name, StatPrefix: content}
	case "rds":
		m = &routev3.RouteConfiguration{Name: name, InternalOnlyHeaders: []string{content}}
	default:
		m = wrapperspb.String(name + "=" + content)
	}
	r, err := NewResource(name, m)
	require.NoError(t, err)
	return r
}

// content undoes resource.
func content(t testing.TB, resource *anypb.Any) string {
	t.Helper()
	m, err := resource.UnmarshalNew()
	require.NoError(t, err)
	switch m := m.(type) {
	case *clusterv3.Cluster:
		return m.GetName() + "=" + m.GetAltStatName()
	case *endpointv3.ClusterLoadAssignment:
		if m.GetPolicy() == nil && len(m.GetEndpoints()) == 0 {
			return m.GetClusterName() + "=empty"
		}
		return fmt.Sprint(m.GetClusterName(), "=", m.GetPolicy().GetOverprovisioningFactor().GetValue())
	case *listenerv3.Listener:
		return m.GetName() + "=" + m.GetStatPrefix()
	case *routev3.RouteConfiguration:
		return m.GetName() + "=" + m.GetInternalOnlyHeaders()[0]
	case *wrapperspb.StringValue:
		return m.GetValue()
	}
	t.Fatalf("unexpected %T", m)
	return ""
}

// wire is a server and clients of it that follow a script, within a bubble of synctest.
type wire struct {
	t               *testing.T
	cache           *Cache
	server          *Server
	conn            *grpc.ClientConn
	delta, separate bool

	clients map[string]*client // by type, if separate; else under ""
	got     []string           // responses since they were looked at
	hold    bool               // do not acknowledge
}

// client is one stream. Its names are those it asked for, by type.
type client struct {
	wire  *wire
	s     grpc.ClientStream
	first bool
	names map[string][]string
	nonce map[string]string
}

func newWire(t *testing.T, options Options) *wire {
	w := &wire{t: t, cache: NewCache(), clients: map[string]*client{}}
	w.server = NewServer(w.cache, options)
	grpcServer := grpc.NewServer(ServerOption())
	w.server.Register(grpcServer)
	listener := bufconn.Listen(1 << 20)
	go func() { _ = grpcServer.Serve(listener) }()
	var err error
	w.conn, err = grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = w.conn.Close()
		w.server.Close()
		grpcServer.Stop()
		synctest.Wait()
	})
	return w
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
	verb := "Stream"
	if w.delta {
		verb = "Delta"
	}
	s, err := w.conn.NewStream(w.t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/envoy.service."+method+"DiscoveryService/"+verb+plural)
	require.NoError(w.t, err)
	c = &client{wire: w, s: s, first: true, names: map[string][]string{}, nonce: map[string]string{}}
	w.clients[kind] = c
	go c.receive()
	return c
}

func (c *client) receive() {
	for {
		line, typeURL, nonce, err := c.next()
		if err != nil {
			if err != io.EOF {
				c.wire.got = append(c.wire.got, "error "+strings.Fields(err.Error())[4])
			}
			return
		}
		c.wire.got = append(c.wire.got, line)
		c.nonce[typeURL] = nonce
		if !c.wire.hold {
			c.answer(typeURL, nonce, "")
		}
	}
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
	_ = c.s.SendMsg(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce, ErrorDetail: detail, ResourceNames: c.names[typeURL]})
}

// ask sends a request. State of the world: all names, "eds a b"; delta: "eds +a -b ?c=1", where the last says what it has.
func (c *client) ask(words []string) {
	typeURL := cmp.Or(typeURLs()[words[0]])
	var node *corev3.Node
	if c.first {
		node = &corev3.Node{Id: "client"}
	}
	c.first = false
	if !c.wire.delta {
		c.names[typeURL] = words[1:]
		_ = c.s.SendMsg(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: typeURL, ResourceNames: words[1:], ResponseNonce: c.nonce[typeURL]})
		return
	}
	r := &discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: typeURL, InitialResourceVersions: map[string]string{}}
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
			require.Equal(w.t, rest, strings.Join(w.got, "; "), "%s\nin%s", line, script)
			w.got = nil
		case "hold": // acknowledge nothing by itself from now on
			w.hold = true
		case "ack", "nack": // the last response of a type
			c := w.stream(words[0])
			typeURL := typeURLs()[words[0]]
			c.answer(typeURL, c.nonce[typeURL], map[string]string{"nack": "refused"}[verb])
		case "stale": // a request that answers no response there was
			c := w.stream(words[0])
			c.nonce[typeURLs()[words[0]]] = "older"
			c.ask(words)
		case "anonymous": // the next stream names no node
			c := w.stream(words[0])
			c.first = false
		case "reconnect": // forget the streams
			for _, c := range w.clients {
				_ = c.s.CloseSend()
			}
			synctest.Wait()
			clear(w.clients)
		default:
			w.t.Fatalf("no such step: %q", line)
		}
	}
}
