package envoy

import (
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// message is a received message as it was on the wire.
type message struct{ buffer mem.Buffer }

// codec leaves a *message encoded and passes everything else to the codec it wraps.
type codec struct{ encoding.CodecV2 }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*message); ok {
		m.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// accessLogService describes envoy.service.accesslog.v3.AccessLogService with messages that stay encoded.
func accessLogService(handle func(grpc.ServerStream) error) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "envoy.service.accesslog.v3.AccessLogService",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "StreamAccessLogs",
			ClientStreams: true,
			Handler:       func(_ any, s grpc.ServerStream) error { return handle(s) },
		}},
	}
}

// accessLogs reads one stream until its end. Envoy sends the identifier in the first message only and never expects an
// answer.
func (r *envoyReceiver) accessLogs(grpcStream grpc.ServerStream) error {
	var stream *mesh.Stream
	for {
		var m message
		if err := grpcStream.RecvMsg(&m); err != nil {
			if stream != nil {
				stream.Close()
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		err := r.accessLog(&stream, m.buffer.ReadOnlyData())
		m.buffer.Free()
		if err != nil {
			if stream != nil {
				stream.Close()
			}
			r.refused.Add(1)
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}
}

func (r *envoyReceiver) accessLog(stream **mesh.Stream, message []byte) error {
	if *stream == nil {
		node, err := mesh.ReadNode(message, r.idc)
		if err != nil {
			return err
		}
		*stream = r.aggregator.Open(node)
	}
	return (*stream).Add(message)
}
