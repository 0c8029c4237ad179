package xds

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// A resource's pieces are what the generated types make of it.
func TestResourcePieces(t *testing.T) {
	m := message(t, "cds", "a", "1/service")
	r, err := NewResource("a", m)
	require.NoError(t, err)
	body, err := anypb.New(m)
	require.NoError(t, err)
	same := func(piece []byte, got, want proto.Message) {
		t.Helper()
		require.NoError(t, proto.Unmarshal(piece, got))
		require.True(t, proto.Equal(want, got), "%v\n%v", want, got)
	}
	same(r.Body, &anypb.Any{}, body)
	same(r.state, &discoveryv3.DiscoveryResponse{}, &discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{body}})
	same(r.delta, &discoveryv3.DeltaDiscoveryResponse{}, &discoveryv3.DeltaDiscoveryResponse{
		Resources: []*discoveryv3.Resource{{Name: "a", Version: r.Version, Resource: body}},
	})
	require.Equal(t, "service", r.assignment)

	again, err := NewResource("a", m)
	require.NoError(t, err)
	require.Equal(t, r, again)
	require.NotEqual(t, r.Version, resource(t, "cds", "a", "2/service").Version)
	require.Equal(t, r.delta, (&Resource{Name: r.Name, Version: r.Version, Body: r.Body}).prepared().delta, "one that others made")
}

// Gateways that serve the same agree about the version, however they came there.
func TestVersionsAgree(t *testing.T) {
	one, other := &wire{t: t, cache: NewCache()}, &wire{t: t, cache: NewCache()}
	one.set("eds a=1 b=1")
	other.set("eds b=2 c=1")
	require.NotEqual(t, one.cache.version(AssignmentType), other.cache.version(AssignmentType))
	other.set("eds a=1 b=1 c=-")
	require.Equal(t, one.cache.version(AssignmentType), other.cache.version(AssignmentType))
	one.cache.Replace(AssignmentType, map[string]*Resource{"d": resource(t, "eds", "d", "1")})
	other.set("eds a=- b=- d=1")
	require.Equal(t, one.cache.version(AssignmentType), other.cache.version(AssignmentType))
	require.Nil(t, one.cache.find(AssignmentType, "a"))
}
