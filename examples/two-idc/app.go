package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Ports of the application, behind the sidecar on the same address.
const (
	httpPort = 9080
	grpcPort = 9090
	tcpPort  = 9100
)

// runApp is the application: it does what the path of a request says, so that the caller knows what to expect.
func runApp(args []string) error {
	flags := flag.NewFlagSet("two-idc app", flag.ContinueOnError)
	address := flags.String("address", "127.0.0.1", "IP to listen on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	web, err := net.Listen("tcp", net.JoinHostPort(*address, strconv.Itoa(httpPort)))
	if err != nil {
		return err
	}
	rpc, err := net.Listen("tcp", net.JoinHostPort(*address, strconv.Itoa(grpcPort)))
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", net.JoinHostPort(*address, strconv.Itoa(tcpPort)))
	if err != nil {
		return err
	}
	holds := newHolds()
	failed := make(chan error, 3)
	go func() { failed <- grpc.NewServer(grpc.UnknownServiceHandler(holds.answerRPC)).Serve(rpc) }()
	go func() {
		failed <- (&http.Server{Handler: holds.web(), ReadHeaderTimeout: 10 * time.Second}).Serve(web)
	}()
	go func() { failed <- serveTCP(tcp) }()
	return <-failed
}

// web serves /ROUTE/VERB/…, where ROUTE is only for the Envoys in front. The verbs held (wait until a request is
// held) and release are for the traffic generator, which asks the application itself.
func (h *holds) web() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{route}/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code < 200 || code > 999 {
			code = http.StatusBadRequest
		}
		w.WriteHeader(code)
	})
	mux.HandleFunc("/{route}/delay/{time}", func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.PathValue("time"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/{route}/reset", func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // close with RST
		}
		_ = connection.Close()
	})
	mux.HandleFunc("/{route}/hold/{key}", func(_ http.ResponseWriter, r *http.Request) {
		h.wait(r.Context(), r.PathValue("key"))
	})
	mux.HandleFunc("/{route}/held/{key}", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-h.of(r.PathValue("key")).arrived:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/{route}/release/{key}", func(_ http.ResponseWriter, r *http.Request) {
		close(h.of(r.PathValue("key")).released)
	})
	return mux
}

// holds are the requests that wait to be released, by a key that the caller chose.
type holds struct {
	mu   sync.Mutex
	open map[string]*hold
}

type hold struct{ arrived, released chan struct{} }

func newHolds() *holds { return &holds{open: map[string]*hold{}} }

// wait keeps a request until it is released or its caller leaves.
func (h *holds) wait(ctx context.Context, key string) {
	held := h.of(key)
	defer h.forget(key)
	close(held.arrived)
	select {
	case <-held.released:
	case <-ctx.Done():
	}
}

func (h *holds) of(key string) *hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[key] == nil {
		h.open[key] = &hold{make(chan struct{}), make(chan struct{})}
	}
	return h.open[key]
}

func (h *holds) forget(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, key)
}

// answerRPC ends a call with the code in its metadata x-code: method Refuse in the headers alone ("trailers-only"), any
// other method in trailers, behind headers. Metadata x-hold is the key of a call that waits before.
func (h *holds) answerRPC(_ any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(&emptypb.Empty{}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, key := range metadata.ValueFromIncomingContext(stream.Context(), "x-hold") {
		h.wait(stream.Context(), key)
	}
	asked := metadata.ValueFromIncomingContext(stream.Context(), "x-code")
	code, err := strconv.Atoi(cmp.Or(append(asked, "0")[0], "0"))
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if method, _ := grpc.MethodFromServerStream(stream); method != refuseMethod {
		if err := stream.SendHeader(nil); err != nil {
			return err
		}
	}
	if code != 0 {
		return status.Error(codes.Code(code), fmt.Sprintf("asked for code %d", code))
	}
	return stream.SendMsg(&emptypb.Empty{})
}
