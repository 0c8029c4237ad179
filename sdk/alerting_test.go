package sdk

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

func TestEvaluate(t *testing.T) {
	started := make(chan Source)
	ended := make(chan error)
	conn := registered(t, RegisterAlerting, func(context.Context, Config) (*Alerting, error) {
		return &Alerting{Evaluate: func(ctx context.Context, s Source, send func([]Alert) error) error {
			started <- s
			if err := send([]Alert{{Labels: map[string]string{"alertname": "A"}, StartsAt: time.Unix(1, 0)}}); err != nil {
				return err
			}
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}}, nil
	})
	client := pluginv1.NewAlertingClient(conn)
	first, err := client.Start(t.Context(), &pluginv1.StartRequest{QueryUrl: "http://q", RemoteWriteUrl: "http://w"})
	if err != nil {
		t.Fatal(err)
	}
	if s := <-started; s != (Source{QueryURL: "http://q", RemoteWriteURL: "http://w"}) {
		t.Errorf("%+v", s)
	}
	alerts, err := first.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if a := alerts.GetAlerts()[0]; a.GetLabels()["alertname"] != "A" || a.GetStartsAt().GetSeconds() != 1 || a.GetEndsAt() != nil {
		t.Errorf("%v", a)
	}
	// A second caller takes over.
	second, err := client.Start(t.Context(), new(pluginv1.StartRequest))
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-started
	if _, err := first.Recv(); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if _, err := second.Recv(); err != nil {
		t.Error(err)
	}
	// Health is answered meanwhile, and Stop ends it.
	if _, err := pluginv1.NewPluginClient(conn).Health(t.Context(), new(pluginv1.HealthRequest)); err != nil {
		t.Error(err)
	}
	stopped := make(chan error)
	go func() {
		_, err := pluginv1.NewPluginClient(conn).Stop(t.Context(), new(pluginv1.StopRequest))
		stopped <- err
	}()
	<-ended
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	third, err := client.Start(t.Context(), new(pluginv1.StartRequest))
	if err == nil {
		_, err = third.Recv()
	}
	if status.Code(err) != codes.Canceled && status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestPanicOfAStreamIsItsOwn(t *testing.T) {
	conn := registered(t, RegisterAlerting, func(context.Context, Config) (*Alerting, error) {
		return &Alerting{Evaluate: func(context.Context, Source, func([]Alert) error) error { panic("no") }}, nil
	})
	stream, err := pluginv1.NewAlertingClient(conn).Start(t.Context(), new(pluginv1.StartRequest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Internal {
		t.Error(err)
	}
	if _, err := pluginv1.NewPluginClient(conn).Health(t.Context(), new(pluginv1.HealthRequest)); err != nil {
		t.Error(err)
	}
}
