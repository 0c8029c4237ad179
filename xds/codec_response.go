package xds

import (
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// response is an encoded DiscoveryResponse or DeltaDiscoveryResponse, in pieces that are never written to.
type response struct {
	pieces  mem.BufferSlice
	typeURL string
	changed time.Time // the oldest change it tells of; zero: it answers a request
}

// encodeState makes a DiscoveryResponse without its nonce.
func encodeState(typeURL, version string, resources []*Resource) mem.BufferSlice {
	pieces := make(mem.BufferSlice, 0, len(resources)+2)
	pieces = append(pieces, mem.SliceBuffer(head(typeURL, version)))
	for _, r := range resources {
		pieces = append(pieces, mem.SliceBuffer(r.state))
	}
	return pieces
}

// encodeDelta makes a DeltaDiscoveryResponse without its nonce.
func encodeDelta(typeURL, version string, changed []*Resource, removed []string) mem.BufferSlice {
	pieces := make(mem.BufferSlice, 0, len(changed)+2)
	first := head(typeURL, version)
	for _, name := range removed {
		first = appendString(first, 6, name)
	}
	pieces = append(pieces, mem.SliceBuffer(first))
	for _, r := range changed {
		pieces = append(pieces, mem.SliceBuffer(r.delta))
	}
	return pieces
}

// head is what both responses have in the same fields.
func head(typeURL, version string) []byte {
	return appendString(appendString(nil, 1, version), 4, typeURL)
}

// withNonce completes a response. The pieces given stay as they are.
func withNonce(pieces mem.BufferSlice, nonce string) mem.BufferSlice {
	all := make(mem.BufferSlice, len(pieces), len(pieces)+1)
	copy(all, pieces)
	field := make([]byte, 0, 2+len(nonce))
	return append(all, mem.SliceBuffer(protowire.AppendString(protowire.AppendTag(field, 5, protowire.BytesType), nonce)))
}
