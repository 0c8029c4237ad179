package sdktest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

func storageOf(write func(context.Context, sdk.Metrics) error) sdk.OpenStorage {
	return func(_ context.Context, c sdk.Config) (*sdk.Storage, error) {
		return &sdk.Storage{WriteMetrics: write}, c.Decode(new(struct{}))
	}
}

func goodWrite(_ context.Context, m sdk.Metrics) error {
	_, err := m.Decode()
	return err
}

func TestCatchesStorage(t *testing.T) {
	t.Parallel()
	var all cases
	defer all.Wait()
	f := func(name string, write func(context.Context, sdk.Metrics) error, failures map[string]string) {
		all.add(t, name, func(t *testing.T) {
			expect(t, suiteOf(t, "storage", sdk.RegisterStorage, storageOf(write), nil), failures)
		})
	}
	f("stores nothing", nil, map[string]string{
		"metrics or logs": "neither metrics nor logs",
	})
	f("never takes anything", func(context.Context, sdk.Metrics) error { return sdk.Permanent(errors.New("no")) }, map[string]string{
		"metrics or logs": `an empty request of metrics: INVALID_ARGUMENT "no", want OK`,
	})
	f("puts off for too long", func(context.Context, sdk.Metrics) error { return sdk.Retryable(errors.New("full"), time.Hour) }, map[string]string{
		"metrics or logs": `UNAVAILABLE "full; not taken within 30s, and the next try is due in 1h0m0s"`,
	})
	f("takes garbage", func(context.Context, sdk.Metrics) error { return nil }, map[string]string{
		"metrics: garbage": "a truncated request: OK, want INVALID_ARGUMENT",
	})
	f("has garbage come again", func(ctx context.Context, m sdk.Metrics) error {
		if err := goodWrite(ctx, m); err != nil {
			return sdk.Retryable(err, 0)
		}
		return nil
	}, map[string]string{"metrics: garbage": "UNAVAILABLE"})
	f("panics at garbage", func(ctx context.Context, m sdk.Metrics) error {
		if err := goodWrite(ctx, m); err != nil {
			panic(err)
		}
		return nil
	}, map[string]string{"metrics: garbage": `INTERNAL "panic: `})
	f("takes small requests only", func(ctx context.Context, m sdk.Metrics) error {
		if len(m.Bytes()) > 1<<20 {
			return sdk.Permanent(errors.New("too large"))
		}
		return goodWrite(ctx, m)
	}, map[string]string{"metrics: a request of 2 MiB": "a server takes messages of up to"})
	var seen sync.Map
	f("takes a request only once", func(ctx context.Context, m sdk.Metrics) error {
		if _, again := seen.LoadOrStore(string(m.Bytes()), true); again && len(m.Bytes()) > 2000 {
			return sdk.Permanent(errors.New("seen before"))
		}
		return goodWrite(ctx, m)
	}, map[string]string{
		"metrics: good requests, each twice": "the second time",
		"metrics: several at a time":         "seen before",
	})
	var mu sync.Mutex
	var requests int
	f("hangs", func(ctx context.Context, m sdk.Metrics) error {
		if len(m.Bytes()) > largeBytes {
			<-ctx.Done()
		}
		return goodWrite(ctx, m)
	}, map[string]string{"metrics: a request of 2 MiB": "no answer within 30s"})
	f("has had enough at some time", func(ctx context.Context, m sdk.Metrics) error {
		mu.Lock()
		defer mu.Unlock()
		if requests++; requests > 250 {
			return sdk.Permanent(errors.New("too many files"))
		}
		return goodWrite(ctx, m)
	}, map[string]string{
		"10,000 requests":        "too many files",
		"a deadline that passes": "too many files",
	})
}

func TestCatchesNotification(t *testing.T) {
	t.Parallel()
	var all cases
	defer all.Wait()
	f := func(name string, notify func(context.Context, *sdk.Group) error, twist twist, failures map[string]string) {
		all.add(t, name, func(t *testing.T) {
			open := func(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
				return &sdk.Notification{Notify: notify}, c.Decode(new(struct{}))
			}
			expect(t, suiteOf(t, "notification", sdk.RegisterNotification, open, twist), failures)
		})
	}
	f("knows no end", func(_ context.Context, g *sdk.Group) error {
		if g.Status != "firing" {
			return sdk.Permanent(errors.New("status"))
		}
		return nil
	}, nil, map[string]string{"a group that is resolved": `INVALID_ARGUMENT "status", want OK`})
	f("knows no odd letters", func(_ context.Context, g *sdk.Group) error {
		for _, a := range g.Alerts {
			if strings.ContainsAny(a.Labels["odd"], "<\x1b\x00") {
				return sdk.Permanent(errors.New("markup"))
			}
		}
		return nil
	}, nil, map[string]string{"odd strings": "markup"})
	f("has no room", func(_ context.Context, g *sdk.Group) error {
		if len(g.Alerts) > 100 {
			return sdk.Permanent(errors.New("too long for a message"))
		}
		return nil
	}, nil, map[string]string{"2 MiB of alerts": "too long for a message"})
	f("crashes without alerts", func(_ context.Context, g *sdk.Group) error {
		_ = g.Alerts[0]
		return nil
	}, nil, map[string]string{"a group without alerts": "INTERNAL \"panic: "})
	f("reads only what it knows, and anything", func(context.Context, *sdk.Group) error { return nil },
		func(method string, _ int, decode func(any) error, answer func() (any, error)) (any, error) {
			if method != "Notify" {
				return answer()
			}
			request := new(pluginv1.NotifyRequest)
			if err := decode(request); err != nil {
				return nil, err
			}
			if strings.Contains(string(request.GetGroup()), "newer\":{") {
				return nil, status.Error(codes.InvalidArgument, "unknown key")
			}
			return new(pluginv1.NotifyResponse), nil
		}, map[string]string{
			"before Configure":        "Notify before Configure: OK",
			"keys of a newer gateway": "unknown key",
			"garbage":                 `the group "[]": OK, want INVALID_ARGUMENT`,
			"Stop":                    "Notify after Stop: OK",
		})
	var mu sync.Mutex
	f("has one caller at a time", func(_ context.Context, g *sdk.Group) error {
		if g.GroupLabels["alertname"] != "conformance together" {
			return nil
		}
		if !mu.TryLock() {
			return sdk.Permanent(errors.New("busy"))
		}
		defer mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		return nil
	}, nil, map[string]string{"several at a time": "busy"})
}

// forever is an Alerting that ignores the end of its caller's interest, and a second Start.
type forever struct {
	pluginv1.UnimplementedAlertingServer
}

func (forever) Start(_ *pluginv1.StartRequest, stream grpc.ServerStreamingServer[pluginv1.Alerts]) error {
	alert := &pluginv1.Alert{Labels: map[string]string{"alertname": "A"}, StartsAt: timestamppb.Now()}
	if err := stream.Send(&pluginv1.Alerts{Alerts: []*pluginv1.Alert{alert}}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func TestCatchesAlerting(t *testing.T) {
	t.Parallel()
	var all cases
	defer all.Wait()
	f := func(name string, evaluate func(context.Context, sdk.Source, func([]sdk.Alert) error) error, failures map[string]string) {
		all.add(t, name, func(t *testing.T) {
			open := func(_ context.Context, c sdk.Config) (*sdk.Alerting, error) {
				return &sdk.Alerting{Evaluate: evaluate}, c.Decode(new(struct{}))
			}
			expect(t, suiteOf(t, "alerting", sdk.RegisterAlerting, open, nil), failures)
		})
	}
	lasting := func(alert sdk.Alert) func(context.Context, sdk.Source, func([]sdk.Alert) error) error {
		return func(ctx context.Context, _ sdk.Source, send func([]sdk.Alert) error) error {
			if err := send([]sdk.Alert{alert}); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}
	}
	named := map[string]string{"alertname": "A"}
	f("has no names", lasting(sdk.Alert{StartsAt: time.Now()}), map[string]string{"alerts": "no label alertname"})
	f("has no times", lasting(sdk.Alert{Labels: named}), map[string]string{"alerts": "no starts_at"})
	f("sees the future", lasting(sdk.Alert{Labels: named, StartsAt: time.Now().Add(time.Hour)}), map[string]string{"alerts": "in the future"})
	f("ends before it starts", lasting(sdk.Alert{Labels: named, StartsAt: time.Now(), EndsAt: time.Now().Add(-time.Hour)}), map[string]string{"alerts": "ends before it starts"})
	f("gives up", func(ctx context.Context, s sdk.Source, send func([]sdk.Alert) error) error {
		if strings.HasSuffix(s.QueryURL, "/nonsense") {
			return sdk.Permanent(io.ErrUnexpectedEOF)
		}
		return lasting(sdk.Alert{Labels: named, StartsAt: time.Now()})(ctx, s, send)
	}, map[string]string{"a source that answers nonsense": "an error that is retryable: the source may come back"})
	f("goes on without a caller", func(ctx context.Context, s sdk.Source, send func([]sdk.Alert) error) error {
		go func() {
			for t.Context().Err() == nil {
				response, err := http.Get(s.QueryURL + "/api/v1/query?query=up")
				if err != nil {
					return
				}
				response.Body.Close()
				time.Sleep(20 * time.Millisecond)
			}
		}()
		return lasting(sdk.Alert{Labels: named, StartsAt: time.Now()})(ctx, s, send)
	}, map[string]string{"a caller that goes away": "still evaluated 5s after"})
	f("does not begin", func(context.Context, sdk.Source, func([]sdk.Alert) error) error {
		return sdk.Permanent(errors.New("no rules"))
	}, map[string]string{
		"alerts":                         `INVALID_ARGUMENT "no rules", want one that lasts`,
		"a caller that goes away":        "no rules",
		"a second Start ends the first":  "no rules",
		"a source that is down":          "no rules",
		"a source that answers nonsense": "no rules",
		"Stop":                           "no rules",
	})
	all.add(t, "does not give way", func(t *testing.T) {
		s := &session{connect: func(context.Context) (*plugin, error) {
			return serve(func(s *grpc.Server) stopFunc {
				stop := sdk.RegisterAlerting(without{s, "lockkeeper.plugin.v1.Alerting"}, func(_ context.Context, c sdk.Config) (*sdk.Alerting, error) {
					return new(sdk.Alerting), c.Decode(new(struct{}))
				})
				pluginv1.RegisterAlertingServer(s, forever{})
				return stop
			})
		}}
		expect(t, func(report func(Result)) error { return s.run(t.Context(), report) }, map[string]string{
			"before Configure":              "Start before Configure: OK",
			"a second Start ends the first": "want its end",
			"Stop":                          "Start under way at Stop",
		})
	})
}

// without leaves out one service.
type without struct {
	*grpc.Server
	service string
}

func (s without) RegisterService(described *grpc.ServiceDesc, server any) {
	if described.ServiceName != s.service {
		s.Server.RegisterService(described, server)
	}
}
