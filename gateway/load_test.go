package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh/load"
)

// loadEnv makes the test binary a load generator; its value is a loadSpec.
const loadEnv = "LOCKKEEPER_BENCH_LOAD"

// loadSpec says what a load generator sends.
type loadSpec struct {
	Target   string
	Streams  int    // each on a connection of its own
	Messages int    // different ones, of each stream; 0: only one, which says who sends and holds no entry
	AnyOrder bool   // see load.Shape
	Rate     int    // entries per second of all streams together; 0: as fast as they are taken
	CA       string // file with the gateway's certificate; "": no TLS
}

// generateLoad opens the streams that text, a loadSpec, asks for and, for each line of standard input, sends that many entries
// over them, and answers with a line.
func generateLoad(text string) error {
	var spec loadSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	senders := make([]*sender, spec.Streams)
	if err := each(senders, func(i int, _ *sender) (err error) {
		senders[i], err = spec.sender(i)
		return err
	}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		entries, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		if err := each(senders, func(_ int, s *sender) error { return s.send((entries + spec.Streams - 1) / spec.Streams) }); err != nil {
			return err
		}
		fmt.Println("sent")
	}
	return lines.Err()
}

func each(senders []*sender, do func(i int, s *sender) error) error {
	var all sync.WaitGroup
	errs := make([]error, len(senders))
	for i, s := range senders {
		all.Go(func() { errs[i] = do(i, s) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// sender is one stream on a connection of its own, as every Envoy has.
type sender struct {
	conn     *grpc.ClientConn
	stream   grpc.ClientStream
	messages [][]byte
	entries  []int
	next     int
	pause    time.Duration // from one entry to the next
}

// newSender opens stream number of the usual load.
func newSender(target string, number int) (*sender, error) {
	return (&loadSpec{Target: target, Messages: 64}).sender(number)
}

func (spec *loadSpec) sender(number int) (*sender, error) {
	messages, err := load.Messages(number, max(1, spec.Messages), load.Shape{AnyOrder: spec.AnyOrder})
	if err != nil {
		return nil, err
	}
	if spec.Messages == 0 {
		if messages[0], err = withoutEntries(messages[0]); err != nil {
			return nil, err
		}
	}
	s := &sender{messages: messages}
	if spec.Rate > 0 {
		s.pause = time.Second * time.Duration(spec.Streams) / time.Duration(spec.Rate)
	}
	for _, m := range messages {
		n, err := load.Entries([][]byte{m})
		if err != nil {
			return nil, err
		}
		s.entries = append(s.entries, n)
	}
	transport := insecure.NewCredentials()
	if spec.CA != "" {
		if transport, err = credentials.NewClientTLSFromFile(spec.CA, "127.0.0.1"); err != nil {
			return nil, err
		}
	}
	if s.conn, err = grpc.NewClient(spec.Target, grpc.WithTransportCredentials(transport)); err != nil {
		return nil, err
	}
	s.stream, err = s.conn.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true},
		"/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", grpc.ForceCodecV2(rawCodec{}), grpc.WaitForReady(true))
	return s, err
}

func withoutEntries(message []byte) ([]byte, error) {
	var m accesslogv3.StreamAccessLogsMessage
	if err := proto.Unmarshal(message, &m); err != nil {
		return nil, err
	}
	m.LogEntries = nil
	return proto.Marshal(&m)
}

// send sends messages until they hold n entries; one without entries counts as one.
func (s *sender) send(n int) error {
	at := time.Now().Add(rand.N(s.pause*20 + 1)) // not all streams at once
	for n > 0 {
		i := s.next % len(s.messages)
		if s.pause > 0 {
			time.Sleep(time.Until(at))
			at = at.Add(s.pause * time.Duration(s.entries[i]))
		}
		if err := s.stream.SendMsg(s.messages[i]); err != nil {
			return err
		}
		n -= max(1, s.entries[i])
		s.next++
	}
	return nil
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
