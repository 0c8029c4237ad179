package sdk

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/emptypb"
)

// codec is gRPC's own protobuf codec, except that a *message keeps the bytes as they came.
type codec struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 {
	return codec{encoding.GetCodecV2(proto.Name)}
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*message); ok {
		m.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// message is a received request, not decoded, in a pooled buffer that free gives back.
type message struct{ buffer mem.Buffer }

func (m *message) bytes() []byte { return m.buffer.ReadOnlyData() }

func (m *message) free() {
	if m.buffer != nil {
		m.buffer.Free()
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
