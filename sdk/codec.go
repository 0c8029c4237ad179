package sdk

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/emptypb"
)

// codec is gRPC's own protobuf codec, except that a *message keeps the bytes as they came. gRPC's own pool clears each
// buffer that it hands out, which for a large request costs as much as filling it.
type codec struct {
	encoding.CodecV2
	buffers *sync.Pool // of *[]byte
}

func newCodec() encoding.CodecV2 {
	return codec{encoding.GetCodecV2(proto.Name), &sync.Pool{New: func() any { return new([]byte) }}}
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	size := data.Len()
	m.buffer, m.buffers = c.buffers.Get().(*[]byte), c.buffers
	*m.buffer = slices.Grow((*m.buffer)[:0], size)[:size]
	data.CopyTo(*m.buffer)
	return nil
}

// message is a received request, not decoded, in a buffer that free gives back.
type message struct {
	buffer  *[]byte
	buffers *sync.Pool
}

func (m *message) bytes() []byte { return *m.buffer }

func (m *message) free() {
	if m.buffer != nil {
		m.buffers.Put(m.buffer)
	}
}

// exportService describes one of OTLP's services, which all have the one method Export, whose reply is empty
// when everything was taken. The request reaches export as bytes, which are valid until it returns.
func exportService(name, file string, export func(context.Context, []byte) error) *grpc.ServiceDesc {
	handler := func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		request := new(message)
		defer request.free()
		if err := decode(request); err != nil {
			return nil, err
		}
		handle := func(ctx context.Context, _ any) (any, error) {
			if err := export(ctx, request.bytes()); err != nil {
				return nil, err
			}
			return new(emptypb.Empty), nil
		}
		if interceptor == nil {
			return handle(ctx, request)
		}
		return interceptor(ctx, request, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/" + name + "/Export"}, handle)
	}
	return &grpc.ServiceDesc{
		ServiceName: name,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: handler}},
		Metadata:    file,
	}
}
