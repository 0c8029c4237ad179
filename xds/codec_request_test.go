package xds

import (
	"bytes"
	"maps"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

func FuzzStateRequest(f *testing.F) {
	seedRequests(f,
		&discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: "n", Cluster: "c"}, TypeUrl: ClusterType},
		&discoveryv3.DiscoveryRequest{TypeUrl: AssignmentType, ResourceNames: []string{"a", "*", ""}, VersionInfo: "1", ResponseNonce: "2"},
		&discoveryv3.DiscoveryRequest{TypeUrl: AssignmentType, ErrorDetail: &rpcstatus.Status{Code: 3, Message: "no"}},
		&discoveryv3.DiscoveryRequest{TypeUrl: "\xff"},
	)
	f.Fuzz(func(t *testing.T, b []byte) {
		var want discoveryv3.DiscoveryRequest
		err := proto.Unmarshal(b, &want)
		r := request{names: []string{"of the last one"}}
		if r.malformed = r.read(b); err != nil {
			play(r) // it may be accepted, since less is read
			return
		}
		require.NoError(t, r.malformed)
		require.Equal(t, want.GetNode() != nil, r.hasNode)
		require.Equal(t, want.GetNode().GetId(), r.node)
		require.Equal(t, want.GetTypeUrl(), r.typeURL)
		require.Equal(t, want.GetResourceNames(), r.names)
		require.Equal(t, want.GetResponseNonce(), r.nonce)
		require.Equal(t, want.GetErrorDetail() != nil, r.refused)
		require.Equal(t, want.GetErrorDetail().GetMessage(), r.why)
		play(r)
	})
}

func FuzzDeltaRequest(f *testing.F) {
	seedRequests(f,
		&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "n"}, TypeUrl: ClusterType, InitialResourceVersions: map[string]string{"a": "1", "b": "2"}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: AssignmentType, ResourceNamesSubscribe: []string{"a", "*"}, ResourceNamesUnsubscribe: []string{"a", "", "*"}},
		&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: "1", ErrorDetail: &rpcstatus.Status{Message: "no"}},
	)
	f.Fuzz(func(t *testing.T, b []byte) {
		var want discoveryv3.DeltaDiscoveryRequest
		err := proto.Unmarshal(b, &want)
		r := request{delta: true, node: "of the last one"}
		if r.malformed = r.read(b); err != nil {
			play(r)
			return
		}
		require.NoError(t, r.malformed)
		require.Equal(t, want.GetNode() != nil, r.hasNode)
		require.Equal(t, want.GetNode().GetId(), r.node)
		require.Equal(t, want.GetTypeUrl(), r.typeURL)
		require.Equal(t, want.GetResourceNamesSubscribe(), r.names)
		require.Equal(t, want.GetResourceNamesUnsubscribe(), r.unsubscribe)
		require.True(t, maps.Equal(want.GetInitialResourceVersions(), r.known))
		require.Equal(t, want.GetResponseNonce(), r.nonce)
		require.Equal(t, want.GetErrorDetail() != nil, r.refused)
		require.Equal(t, want.GetErrorDetail().GetMessage(), r.why)
		play(r)
	})
}

// Whatever a request says, a stream goes on.
func play(r request) {
	cache := NewCache()
	a, err := NewResource("a", &corev3.Node{Id: "a"})
	if err != nil {
		panic(err)
	}
	cache.Replace(r.typeURL, map[string]*Resource{"a": a})
	st := &stream{server: NewServer(cache, Options{}), delta: r.delta, wake: make(chan struct{}, 1)}
	cache.open(st)
	for i := range 2 {
		_, _ = st.apply(&r, i == 0)
		st.turn()
	}
	cache.Replace(r.typeURL, nil)
	st.turn()
}

func seedRequests(f *testing.F, requests ...proto.Message) {
	for _, m := range requests {
		b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
		if err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte("\x12\x7f"))             // ends within a field
	f.Add([]byte("\x10\x01\x2b\x2c\x0d")) // other wire types
	f.Add([]byte("\x22\x01\xff"))         // not UTF-8
	f.Add(bytes.Repeat([]byte("\x1a\x01a"), 100))
}

// What Envoy lists of itself is not kept, and hardly costs anything.
func TestRequestSkipsTheNode(t *testing.T) {
	node := &corev3.Node{Id: "envoy"}
	for range 500 {
		node.Extensions = append(node.Extensions, &corev3.Extension{Name: "envoy.filters.http.something", Category: "envoy.filters.http", TypeUrls: []string{ClusterType}})
	}
	b, err := proto.Marshal(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: ClusterType})
	require.NoError(t, err)
	var r request
	allocs := testing.AllocsPerRun(100, func() { _ = r.read(b) })
	require.Equal(t, "envoy", r.node)
	require.LessOrEqual(t, allocs, 8.)
}
