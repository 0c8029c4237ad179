package storagetest

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// frame is a gRPC message whose encoding is already there.
type frame []byte

// frames is the codec of frames.
type frames struct{}

func (frames) Name() string { return "proto" }

func (frames) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(frame)
	if !ok {
		return nil, fmt.Errorf("%T is not a frame", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f)}, nil
}

func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("%T is not a frame", v)
	}
	*f = data.Materialize()
	return nil
}
