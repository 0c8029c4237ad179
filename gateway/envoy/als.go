package envoy

import (
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// message is a received message as it was on the wire. Its bytes are valid until it is freed or the next one is received into it.
type message struct {
	bytes  []byte
	buffer mem.Buffer
}

// free gives the bytes back: a stream that waits for its next message holds none.
func (m *message) free() {
	if m.buffer != nil {
		m.buffer.Free()
	}
	*m = message{}
}

// codec leaves a *message encoded and passes everything else to the codec it wraps.
type codec struct {
	encoding.CodecV2
	buffers mem.BufferPool
}

// Unmarshal copies a message only if it came in more than one frame.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*message); ok {
		m.free()
		m.buffer = data.MaterializeToBuffer(c.buffers)
		m.bytes = m.buffer.ReadOnlyData()
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

// messages is what reads the messages of one stream, which may be reused as soon as Add returns.
type messages interface {
	Add(message []byte) error
	Close()
}

// accessLogs reads one stream of access logs.
func (r *envoyReceiver) accessLogs(grpcStream grpc.ServerStream) error {
	return r.read(grpcStream, kindALS, r.refuse, func(n mesh.Node) messages { return r.aggregator.Open(n) })
}

// read reads one stream until its end. Envoy sends the identifier in the first message only and never expects an answer.
func (r *envoyReceiver) read(grpcStream grpc.ServerStream, kind string, refuse func(error) error, open func(mesh.Node) messages) error {
	var m message
	defer m.free()
	if err := grpcStream.RecvMsg(&m); err != nil {
		return ended(err)
	}
	node, err := mesh.ReadNode(m.bytes, r.idc)
	if err != nil {
		return refuse(err)
	}
	node.Trusted, node.Caller = r.trusts(grpcStream.Context(), &node), r.caller(grpcStream.Context())
	source, stream := newTapped(kind, &node, m.bytes), open(node)
	defer stream.Close()
	defer r.senders.open(grpcStream.Context(), kind, &node, time.Now())()
	for {
		r.taps.see(source, m.bytes)
		if err := stream.Add(m.bytes); err != nil {
			return refuse(err)
		}
		m.free()
		if err := grpcStream.RecvMsg(&m); err != nil {
			return ended(err)
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (r *envoyReceiver) refuse(err error) error {
	r.refused.Add(1)
	return status.Error(codes.InvalidArgument, err.Error())
}
