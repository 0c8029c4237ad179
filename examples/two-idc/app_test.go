package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t *testing.T, app *httptest.Server, path string) (int, error) {
	t.Helper()
	return fetch(t.Context(), app.Client(), app.URL+path, "v1")
}

func TestAppDoesWhatThePathSays(t *testing.T) {
	app := httptest.NewServer(newHolds().web())
	defer app.Close()
	f := func(path string, want int) {
		t.Helper()
		if got, err := ask(t, app, path); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", path, got, err, want)
		}
	}
	f("/app/status/200", http.StatusOK)
	f("/retried/status/503", http.StatusServiceUnavailable)
	f("/app/status/x", http.StatusBadRequest)
	f("/app/delay/1ms", http.StatusOK)
	f("/app/delay/x", http.StatusBadRequest)
	f("/app/nothing", http.StatusNotFound)
	if _, err := ask(t, app, "/app/reset"); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("reset: %v", err)
	}
}

func TestAppHoldsUntilReleased(t *testing.T) {
	app := httptest.NewServer(newHolds().web())
	defer app.Close()
	held := make(chan int, 1)
	go func() {
		got, _ := ask(t, app, "/app/hold/a")
		held <- got
	}()
	for _, path := range []string{"/app/held/a", "/app/release/a"} {
		if got, err := ask(t, app, path); err != nil || got != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, got, err)
		}
	}
	if got := <-held; got != http.StatusOK {
		t.Errorf("held request: %d", got)
	}
}

func TestAppEndsCallsWithTheCodeAsked(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app := grpc.NewServer(grpc.UnknownServiceHandler(newHolds().answerRPC))
	go func() { _ = app.Serve(listener) }()
	defer app.Stop()
	client, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f := func(method string, code codes.Code, headers bool) {
		t.Helper()
		ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "x-code", strconv.Itoa(int(code))))
		defer cancel()
		var header metadata.MD
		err := client.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{}, grpc.Header(&header))
		if got := status.Code(err); got != code {
			t.Errorf("%s: %v, want %v", method, err, code)
		}
		if got := len(header.Get("content-type")) > 0; got != headers {
			t.Errorf("%s with %v: headers %v before the trailers, want %v", method, code, header, headers)
		}
	}
	f(answerMethod, codes.OK, true)
	f(answerMethod, codes.NotFound, true)
	f(refuseMethod, codes.Unavailable, false)
}

func TestAppAnswersTalks(t *testing.T) {
	here, there := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- answerTCP(there) }()
	f := func(text, want string) {
		t.Helper()
		if _, err := io.WriteString(here, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(here, got); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	f(talk{up: 3, down: 2}.line()+"u", "") // not before all of it is there
	f("uu", "dd")
	_ = here.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAppRefusesOtherTalk(t *testing.T) {
	for _, text := range []string{"", "x", "x y\n", "5 1\nuuuu"} {
		if err := answerTCP(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(text), io.Discard}); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
