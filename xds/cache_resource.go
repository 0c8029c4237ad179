package xds

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// typePrefix comes before a message's full name in a type URL.
const typePrefix = "type.googleapis.com/"

// The types that are pushed in an order: what is named comes before what names it.
const (
	ClusterType    = typePrefix + "envoy.config.cluster.v3.Cluster"
	AssignmentType = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	ListenerType   = typePrefix + "envoy.config.listener.v3.Listener"
	RouteType      = typePrefix + "envoy.config.route.v3.RouteConfiguration"
)

// Resource is one resource, encoded once for all streams. It is immutable.
type Resource struct {
	Name    string
	Version string // the same wherever the content is the same
	Body    []byte // the encoded google.protobuf.Any

	// delta is the resource as the field resources of a DeltaDiscoveryResponse. Its tail, state, is the same of a DiscoveryResponse: both are
	// field 2, and so is the Any within the first. Body is the tail of both.
	delta, state []byte
	sum          uint64 // of name and version
	assignment   string // of a cluster: the name of the assignment that Envoy asks for
}

// NewResource encodes a message deterministically, so that gateways that serve the same agree about its version.
func NewResource(name string, m proto.Message) (*Resource, error) {
	options := proto.MarshalOptions{Deterministic: true, UseCachedSize: true}
	typeURL, size := typePrefix+string(m.ProtoReflect().Descriptor().FullName()), proto.Size(m)
	body := make([]byte, 0, len(typeURL)+size+16)
	body = appendString(body, 1, typeURL)
	body = protowire.AppendVarint(protowire.AppendTag(body, 2, protowire.BytesType), uint64(size))
	body, err := options.MarshalAppend(body, m)
	if err != nil {
		return nil, fmt.Errorf("encode %q: %w", name, err)
	}
	content := sha256.Sum256(body)
	r := &Resource{Name: name, Version: hex.EncodeToString(content[:8]), Body: body}
	if c, ok := m.(*clusterv3.Cluster); ok && c.GetType() == clusterv3.Cluster_EDS {
		r.assignment = c.GetName()
		if service := c.GetEdsClusterConfig().GetServiceName(); service != "" {
			r.assignment = service
		}
	}
	return r.prepared(), nil
}

// prepared returns the resource with its pieces.
func (r *Resource) prepared() *Resource {
	if r.delta != nil {
		return r
	}
	p := *r
	head := appendString(nil, 3, r.Name)
	head = appendString(head, 1, r.Version)
	tail := 1 + protowire.SizeBytes(len(r.Body))
	p.delta = make([]byte, 0, 1+protowire.SizeBytes(len(head)+tail))
	p.delta = protowire.AppendTag(p.delta, 2, protowire.BytesType)
	p.delta = protowire.AppendVarint(p.delta, uint64(len(head)+tail))
	p.delta = append(p.delta, head...)
	p.delta = protowire.AppendTag(p.delta, 2, protowire.BytesType)
	p.delta = protowire.AppendBytes(p.delta, r.Body)
	p.state = p.delta[len(p.delta)-tail:]
	p.Body = p.delta[len(p.delta)-len(r.Body):]
	sum := sha256.Sum256(head)
	p.sum = binary.BigEndian.Uint64(sum[:])
	return &p
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}
