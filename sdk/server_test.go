package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened serves storage and gives the connection to it, configured.
func opened(t *testing.T, storage *Storage) *grpc.ClientConn {
	t.Helper()
	return registered(t, RegisterStorage, func(context.Context, Config) (*Storage, error) { return storage, nil })
}

// registered serves a plugin of any kind and gives the connection to it, configured.
func registered[Open any](t *testing.T, register func(grpc.ServiceRegistrar, Open) func(context.Context) error, open Open) *grpc.ClientConn {
	t.Helper()
	server := grpc.NewServer(ServerOptions()...)
	stop := register(server, open)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), append(DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		_ = stop(context.Background())
	})
	if _, err := pluginv1.NewPluginClient(conn).Configure(t.Context(), new(pluginv1.ConfigureRequest)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func testRequest(points int) pmetricotlp.ExportRequest {
	m := pmetric.NewMetrics()
	metric := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("requests_total")
	sum := metric.SetEmptySum()
	for i := range points {
		sum.DataPoints().AppendEmpty().SetIntValue(int64(i))
	}
	return pmetricotlp.NewExportRequestFromMetrics(m)
}

// A client that OpenTelemetry generated talks to the hand-written service, and the bytes arrive as they were sent.
func TestBytesArriveAsSent(t *testing.T) {
	for _, points := range []int{0, 1, 100_000} {
		request := testRequest(points)
		want, err := request.MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		same, decoded := false, 0
		conn := opened(t, &Storage{WriteMetrics: func(_ context.Context, m Metrics) error {
			same = string(m.Bytes()) == string(want)
			metrics, err := m.Decode()
			decoded = metrics.DataPointCount()
			return err
		}})
		if _, err := pmetricotlp.NewGRPCClient(conn).Export(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if !same || decoded != points {
			t.Errorf("%d points: the same bytes: %v; %d decoded", points, same, decoded)
		}
	}
}

func TestErrorsAcrossTheWire(t *testing.T) {
	f := func(sent error, code codes.Code, permanent bool, after time.Duration) {
		t.Helper()
		conn := opened(t, &Storage{WriteMetrics: func(context.Context, Metrics) error { return sent }})
		_, err := pmetricotlp.NewGRPCClient(conn).Export(t.Context(), testRequest(1))
		if status.Code(err) != code || IsPermanent(err) != permanent {
			t.Errorf("%v: got %v, permanent %v; want %v, %v", sent, err, IsPermanent(err), code, permanent)
		}
		var got time.Duration
		for _, detail := range status.Convert(err).Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				got = info.GetRetryDelay().AsDuration()
			}
		}
		if got != after {
			t.Errorf("%v: RetryInfo %v, want %v", sent, got, after)
		}
	}
	failed := errors.New("disk full")
	// a plain error may be tried again
	f(failed, codes.Unavailable, false, 0)
	// marked, and wrapped after that
	f(Permanent(failed), codes.InvalidArgument, true, 0)
	f(fmt.Errorf("write: %w", Permanent(failed)), codes.InvalidArgument, true, 0)
	f(Retryable(failed, 0), codes.Unavailable, false, 0)
	f(fmt.Errorf("write: %w", Retryable(failed, 3*time.Second)), codes.Unavailable, false, 3*time.Second)
	// a status stays what it is
	f(status.Error(codes.ResourceExhausted, "too many"), codes.ResourceExhausted, true, 0)
	f(status.Error(codes.Aborted, "again"), codes.Aborted, false, 0)
	// the caller's own deadline
	f(context.DeadlineExceeded, codes.DeadlineExceeded, false, 0)
	// none
	f(nil, codes.OK, false, 0)
	f(Permanent(nil), codes.OK, false, 0)
}

func TestPanicIsAnErrorOfOneCall(t *testing.T) {
	printed, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	stderr := os.Stderr
	os.Stderr = printed
	defer func() { os.Stderr = stderr }()

	calls := 0
	conn := opened(t, &Storage{WriteMetrics: func(context.Context, Metrics) error {
		if calls++; calls == 1 {
			panic("no such label")
		}
		return nil
	}})
	client := pmetricotlp.NewGRPCClient(conn)
	if _, err := client.Export(t.Context(), testRequest(1)); status.Code(err) != codes.Internal || !IsPermanent(err) {
		t.Errorf("got %v, want Internal", err)
	}
	if _, err := client.Export(t.Context(), testRequest(1)); err != nil {
		t.Errorf("the call after the panic: %v", err)
	}
	log, err := os.ReadFile(printed.Name())
	if err != nil || !strings.HasPrefix(string(log), "[ERROR] panic in /opentelemetry") || !strings.Contains(string(log), "server_test.go") {
		t.Errorf("printed %q, %v, want the panic and its stack", log, err)
	}
}

func TestStopWaitsForWrites(t *testing.T) {
	writing, release := make(chan struct{}), make(chan struct{})
	var order []string
	conn := opened(t, &Storage{
		WriteMetrics: func(context.Context, Metrics) error {
			close(writing)
			<-release
			order = append(order, "write")
			return nil
		},
		Stop: func(context.Context) error { order = append(order, "stop"); return nil },
	})
	written, stopped := make(chan error), make(chan error)
	go func() {
		_, err := pmetricotlp.NewGRPCClient(conn).Export(t.Context(), testRequest(1))
		written <- err
	}()
	<-writing
	go func() {
		_, err := pluginv1.NewPluginClient(conn).Stop(t.Context(), new(pluginv1.StopRequest))
		stopped <- err
	}()
	// Meanwhile others are refused, and don't wait.
	for {
		_, err := pluginv1.NewPluginClient(conn).Health(t.Context(), new(pluginv1.HealthRequest))
		if status.Code(err) == codes.Unavailable {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	if err := errors.Join(<-written, <-stopped); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(order) != "[write stop]" {
		t.Errorf("order %v", order)
	}
}

func TestFailedOpenCanBeTriedAgain(t *testing.T) {
	fail := true
	server := newLife(func(context.Context, Config) (*Storage, error) {
		if fail {
			return nil, errors.New("locked")
		}
		return new(Storage), nil
	})
	if _, err := server.Configure(t.Context(), new(pluginv1.ConfigureRequest)); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	fail = false
	if _, err := server.Configure(t.Context(), new(pluginv1.ConfigureRequest)); err != nil {
		t.Error(err)
	}
}
