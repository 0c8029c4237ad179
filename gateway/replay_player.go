package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// player sends recorded messages to a gateway, by one stream for each speaker.
type player struct {
	conn          *grpc.ClientConn
	kind          string
	known         speakers
	streams       map[speaker]grpc.ClientStream
	last          grpc.ClientStream
	messages, sum int
}

func newPlayer(conn *grpc.ClientConn, kind string) *player {
	return &player{conn: conn, kind: kind, known: speakers{}, streams: map[speaker]grpc.ClientStream{}}
}

func (p *player) String() string {
	what := "entries"
	if p.kind == kindStats {
		what = "metric families"
	}
	return fmt.Sprintf("%s: %d messages, %d %s, %d streams", p.kind, p.messages, p.sum, what, len(p.streams))
}

// send sends one message, and waits while the gateway takes no more.
func (p *player) send(ctx context.Context, message []byte) error {
	from, named, err := p.known.of(message)
	if err != nil {
		return err
	}
	payload := message
	switch stream := p.streams[from]; {
	case !named && p.last == nil:
		return errors.New("does not say whose it is, and none before it does")
	case !named:
	case stream != nil:
		p.last, payload = stream, anonymous(message)
	default:
		if p.last, err = p.open(ctx); err != nil {
			return p.explain(err)
		}
		p.streams[from] = p.last
	}
	if err := p.last.SendMsg(payload); err != nil {
		if errors.Is(err, io.EOF) { // the gateway has ended the stream: it says why
			err = p.last.RecvMsg(new([]byte))
		}
		return p.explain(err)
	}
	p.messages++
	p.sum += countOf(p.kind, message)
	return nil
}

func (p *player) open(ctx context.Context) (grpc.ClientStream, error) {
	method := "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
	if p.kind == kindStats {
		method = "/envoy.service.metrics.v3.MetricsService/StreamMetrics"
	}
	// The gateway answers with the end alone, which for gRPC is a stream of no answers.
	return p.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
}

// finish ends all streams and waits until the gateway has read them.
func (p *player) finish() error {
	var errs []error
	for _, stream := range p.streams {
		if err := stream.CloseSend(); err != nil {
			errs = append(errs, p.explain(err))
		}
	}
	for _, stream := range p.streams {
		if err := stream.RecvMsg(new([]byte)); err != nil && !errors.Is(err, io.EOF) {
			errs = append(errs, p.explain(err))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs[0] // the others rarely say more
}

func (p *player) explain(err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unavailable:
		return fmt.Errorf("no gateway at %s: start one with `lockkeeper run`, or give --address (with TLS: --ca): %s", p.conn.Target(), s.Message())
	case codes.Unimplemented:
		return fmt.Errorf("%s takes no %s: is it a gateway's Envoy sink?", p.conn.Target(), p.kind)
	}
	return fmt.Errorf("the gateway refuses the stream: %s", s.Message())
}

// encodedCodec sends messages that are encoded already.
type encodedCodec struct{}

func (encodedCodec) Name() string { return "proto" }

func (encodedCodec) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("cannot send %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(message)}, nil
}

func (encodedCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
