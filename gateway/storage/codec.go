package storage

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// rawCodec takes requests that are encoded already, as []byte, and gives replies as they came, in a *[]byte.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	data, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("a request is []byte, not %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	reply, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a reply is *[]byte, not %T", v)
	}
	*reply = data.Materialize()
	return nil
}

// Name is that of the encoding of what the bytes hold.
func (rawCodec) Name() string {
	return "proto"
}
