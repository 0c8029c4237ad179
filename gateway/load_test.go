package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/lockkeeper/lockkeeper/gateway/mesh/load"
)

// loadEnv makes the test binary a load generator; its value is the gateway's address and the number of streams.
const loadEnv = "LOCKKEEPER_BENCH_LOAD"

// generateLoad opens the streams that spec asks for and, for each line of standard input, sends that many entries over them as
// fast as the gateway takes them, and answers with a line.
func generateLoad(spec string) error {
	target, number, _ := strings.Cut(spec, " ")
	streams, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	senders := make([]*sender, streams)
	for i := range senders {
		if senders[i], err = newSender(target, i); err != nil {
			return err
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		entries, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		var all sync.WaitGroup
		errs := make([]error, streams)
		for i, s := range senders {
			all.Go(func() { errs[i] = s.send(entries/streams + 1) })
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		fmt.Println("sent")
	}
	return lines.Err()
}

// sender is one stream on a connection of its own, as every Envoy has.
type sender struct {
	conn     *grpc.ClientConn
	stream   grpc.ClientStream
	messages [][]byte
	entries  []int
	next     int
}

func newSender(target string, number int) (*sender, error) {
	messages, err := load.Messages(number, 64, load.Shape{})
	if err != nil {
		return nil, err
	}
	s := &sender{messages: messages}
	for _, m := range messages {
		n, err := load.Entries([][]byte{m})
		if err != nil {
			return nil, err
		}
		s.entries = append(s.entries, n)
	}
	if s.conn, err = grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return nil, err
	}
	s.stream, err = s.conn.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true},
		"/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", grpc.ForceCodecV2(rawCodec{}))
	return s, err
}

// send sends messages until they hold n entries.
func (s *sender) send(n int) error {
	for n > 0 {
		i := s.next % len(s.messages)
		if err := s.stream.SendMsg(s.messages[i]); err != nil {
			return err
		}
		n -= s.entries[i]
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
