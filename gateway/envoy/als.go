package envoy

import (
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// keptBytes bounds the buffer that a stream keeps for its next message: Envoy's are some 17 kB, and 62 kB more for the first.
const keptBytes = 128 << 10

// message is a received message as it was on the wire. Its bytes are valid until the next one is received into it.
type message struct{ bytes []byte }

// codec leaves a *message encoded and passes everything else to the codec it wraps.
type codec struct{ encoding.CodecV2 }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*message); ok {
		m.bytes = slices.Grow(m.bytes[:0], data.Len())[:data.Len()]
		data.CopyTo(m.bytes)
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
	defer func() {
		if stream != nil {
			stream.Close()
		}
	}()
	var m message
	var source *tapped
	for {
		if err := grpcStream.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if stream == nil {
			node, err := mesh.ReadNode(m.bytes, r.idc)
			if err != nil {
				return r.refuse(err)
			}
			stream = r.aggregator.Open(node)
			source = newTapped(kindALS, &node, m.bytes)
			defer r.senders.open(grpcStream.Context(), kindALS, &node, time.Now())() // once for the stream
		}
		r.taps.see(source, m.bytes)
		if err := stream.Add(m.bytes); err != nil {
			return r.refuse(err)
		}
		if cap(m.bytes) > keptBytes {
			m.bytes = nil
		}
	}
}

func (r *envoyReceiver) refuse(err error) error {
	r.refused.Add(1)
	return status.Error(codes.InvalidArgument, err.Error())
}
