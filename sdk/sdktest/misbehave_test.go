package sdktest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// twist is what a plugin does instead of what the SDK answers, which it may ask for. calls counts those of the method.
type twist func(method string, calls int, request func(any) error, answer func() (any, error)) (any, error)

// twisted registers services on the server with every answer in the hands of a twist.
type twisted struct {
	*grpc.Server
	twist twist

	mu    sync.Mutex
	calls map[string]int
}

func (s *twisted) RegisterService(described *grpc.ServiceDesc, server any) {
	copied := *described
	copied.Methods = slices.Clone(described.Methods)
	for i := range copied.Methods {
		method, handler := copied.Methods[i].MethodName, copied.Methods[i].Handler
		copied.Methods[i].Handler = func(server any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			s.mu.Lock()
			s.calls[method]++
			calls := s.calls[method]
			s.mu.Unlock()
			return s.twist(method, calls, decode, func() (any, error) { return handler(server, ctx, decode, interceptor) })
		}
	}
	s.Server.RegisterService(&copied, server)
}

// expect runs the suite and wants just the named checks to fail, with these words.
func expect(t *testing.T, suite func(report func(Result)) error, failures map[string]string) {
	t.Helper()
	found := map[string]bool{}
	err := suite(func(r Result) {
		if r.Err == nil {
			return
		}
		t.Logf("%s: %v", r.Name, r.Err)
		found[r.Name] = true
		if want, ok := failures[r.Name]; !ok || !strings.Contains(r.Err.Error(), want) {
			t.Errorf("%s: %v\nwant %q", r.Name, r.Err, want)
		}
	})
	for name := range failures {
		if !found[name] {
			t.Errorf("%s: found nothing wrong", name)
		}
	}
	if !errors.Is(err, ErrFailed) {
		t.Errorf("%v, want %v", err, ErrFailed)
	}
}

// cases are subtests that mostly wait: they run at the same time, however many processors there are.
type cases struct{ sync.WaitGroup }

func (c *cases) add(t *testing.T, name string, f func(*testing.T)) {
	c.Go(func() { t.Run(name, f) })
}

// suiteOf is the suite on a plugin of the SDK with a twist. A nil twist is none.
func suiteOf[Open any](t *testing.T, kind string, register func(grpc.ServiceRegistrar, Open) func(context.Context) error, open Open, twist twist) func(func(Result)) error {
	s := &session{kind: kind, many: 500, connect: func(context.Context) (*plugin, error) {
		return serve(func(s *grpc.Server) stopFunc {
			if twist == nil {
				return register(s, open)
			}
			return register(&twisted{Server: s, twist: twist, calls: map[string]int{}}, open)
		})
	}}
	return func(report func(Result)) error { return s.run(t.Context(), report) }
}

// What the SDK does by itself, a plugin in another language may forget.
func TestCatchesLife(t *testing.T) {
	t.Parallel()
	var all cases
	defer all.Wait()
	f := func(name string, twist twist, failures map[string]string) {
		all.add(t, name, func(t *testing.T) {
			open := func(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
				return &sdk.Notification{Notify: func(context.Context, *sdk.Group) error { return nil }}, c.Decode(new(struct{}))
			}
			expect(t, suiteOf(t, "", sdk.RegisterNotification, open, twist), failures)
		})
	}
	f("answers before it is configured", func(method string, _ int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Health" || status.Code(err) != codes.FailedPrecondition {
			return got, err
		}
		return new(pluginv1.HealthResponse), nil
	}, map[string]string{"before Configure": "Health before Configure: OK, want FAILED_PRECONDITION"})
	f("takes any configuration", func(method string, _ int, request func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Configure" || status.Code(err) != codes.InvalidArgument {
			return got, err
		}
		return new(pluginv1.ConfigureResponse), nil
	}, map[string]string{"wrong configuration": `the unknown key "no_such_key": OK, want INVALID_ARGUMENT`})
	f("does not name the key", func(method string, _ int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); status.Code(err) != codes.InvalidArgument || method != "Configure" {
			return got, err
		}
		return nil, status.Error(codes.InvalidArgument, "bad configuration")
	}, map[string]string{"wrong configuration": "the key's name"})
	f("is configured only once", func(method string, calls int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Configure" || calls == 1 {
			return got, err
		}
		return nil, status.Error(codes.FailedPrecondition, "configured already")
	}, map[string]string{"the same Configure again": `FAILED_PRECONDITION "configured already", want OK`})
	f("is configured anew at once", func(method string, _ int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Configure" || status.Code(err) != codes.FailedPrecondition {
			return got, err
		}
		return new(pluginv1.ConfigureResponse), nil
	}, map[string]string{"another Configure": "OK, want FAILED_PRECONDITION"})
	f("chooses a version of its own", func(method string, _ int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Configure" || err != nil {
			return got, err
		}
		return &pluginv1.ConfigureResponse{ProtocolVersion: 99}, nil
	}, map[string]string{"Configure": "it chose version 99"})
	f("is of no kind", info(&pluginv1.InfoResponse{Kind: "Notification"}), map[string]string{"Info": `kind is "Notification", want storage, notification or alerting`})
	f("has a URL that is none", info(&pluginv1.InfoResponse{Kind: "notification", QueryUrl: "http://x/"}), map[string]string{"Info": "without a slash"})
	f("stops too late", func(method string, _ int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Stop" || err != nil {
			return got, err
		}
		select {
		case <-time.After(2 * stopWithin):
		case <-t.Context().Done():
		}
		return nil, nil
	}, map[string]string{"Stop": "after 5s the process is killed", "before Configure": "Stop before Configure"})
	f("stops once", func(method string, calls int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Stop" || calls == 1 {
			return got, err
		}
		return nil, status.Error(codes.Unknown, "stopped")
	}, map[string]string{"Stop": `a second Stop: UNKNOWN "stopped", want OK`})
	f("loses what comes after Stop", func(method string, _ int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Notify" || status.Code(err) != codes.Unavailable {
			return got, err
		}
		return nil, status.Error(codes.InvalidArgument, "stopped")
	}, map[string]string{"Stop": `Notify after Stop: INVALID_ARGUMENT "stopped", want UNAVAILABLE`})
}

func info(told *pluginv1.InfoResponse) twist {
	return func(method string, _ int, _ func(any) error, answer func() (any, error)) (any, error) {
		if got, err := answer(); method != "Info" || err != nil {
			return got, err
		}
		return told, nil
	}
}
