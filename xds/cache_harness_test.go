package xds

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

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
	r, err := NewResource(name, message(t, kind, name, content))
	require.NoError(t, err)
	return r
}

func message(t testing.TB, kind, name, content string) proto.Message {
	t.Helper()
	content, service, isEDS := strings.Cut(content, "/")
	switch kind {
	case "cds":
		c := &clusterv3.Cluster{Name: name, AltStatName: content}
		if isEDS {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
			c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{ServiceName: service}
		}
		return c
	case "eds":
		n, err := strconv.ParseUint(content, 10, 32)
		require.NoError(t, err)
		return &endpointv3.ClusterLoadAssignment{ClusterName: name, Policy: &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(uint32(n))}}
	case "lds":
		return &listenerv3.Listener{Name: name, StatPrefix: content}
	case "rds":
		return &routev3.RouteConfiguration{Name: name, InternalOnlyHeaders: []string{content}}
	}
	return wrapperspb.String(name + "=" + content)
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
