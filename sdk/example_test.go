package sdk_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// A storage plugin that appends each request to a file.
func ExampleServeStorage() {
	open := func(_ context.Context, c sdk.Config) (*sdk.Storage, error) {
		settings := struct {
			Path string `yaml:"path"`
		}{Path: "requests.bin"}
		if err := c.Decode(&settings); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(settings.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return nil, err
		}
		var mu sync.Mutex
		return &sdk.Storage{
			WriteMetrics: func(_ context.Context, m sdk.Metrics) error {
				mu.Lock()
				defer mu.Unlock()
				_, err := file.Write(m.Bytes())
				return err // not marked: the gateway tries again
			},
			Stop: func(context.Context) error { return file.Close() },
		}, nil
	}
	main := func() { sdk.ServeStorage(open) }
	_ = main
}

// A notification plugin that says on the loudspeaker what fires.
func ExampleServeNotification() {
	open := func(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
		settings := struct {
			Command string `yaml:"command"`
		}{Command: "espeak"}
		if err := c.Decode(&settings); err != nil {
			return nil, err
		}
		if _, err := exec.LookPath(settings.Command); err != nil {
			return nil, sdk.Permanent(err) // a wrong configuration
		}
		return &sdk.Notification{
			Notify: func(ctx context.Context, g *sdk.Group) error {
				if len(g.Firing()) == 0 {
					return nil
				}
				speak := exec.CommandContext(ctx, settings.Command)
				speak.Stdin = strings.NewReader(g.GroupLabels["alertname"])
				return speak.Run()
			},
		}, nil
	}
	main := func() { sdk.ServeNotification(open) }
	_ = main
}

// An alerting plugin that fires on weekends, whatever its source says.
func ExampleServeAlerting() {
	open := func(_ context.Context, c sdk.Config) (*sdk.Alerting, error) {
		var none struct{}
		if err := c.Decode(&none); err != nil {
			return nil, err
		}
		return &sdk.Alerting{
			Evaluate: func(ctx context.Context, _ sdk.Source, send func([]sdk.Alert) error) error {
				for {
					year, month, day := time.Now().Date()
					today := time.Date(year, month, day, 0, 0, 0, 0, time.Local)
					if weekday := today.Weekday(); weekday == time.Saturday || weekday == time.Sunday {
						alert := sdk.Alert{Labels: map[string]string{"alertname": "Weekend"}, StartsAt: today, EndsAt: today.AddDate(0, 0, 1)}
						if err := send([]sdk.Alert{alert}); err != nil {
							return err
						}
					}
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(time.Minute): // each alert is sent at least that often
					}
				}
			},
		}, nil
	}
	main := func() { sdk.ServeAlerting(open) }
	_ = main
}

// A plugin that is a server at an address. TLS is one of grpc's own server options.
func ExampleRegisterNotification() {
	open := func(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
		return &sdk.Notification{Notify: func(context.Context, *sdk.Group) error { return errors.New("nobody is on call") }}, nil
	}
	main := func() {
		server := grpc.NewServer(sdk.ServerOptions()...)
		stop := sdk.RegisterNotification(server, open)
		listener, err := net.Listen("tcp", "127.0.0.1:7443")
		if err != nil {
			panic(err)
		}
		_ = server.Serve(listener) // until something calls server.GracefulStop
		_ = stop(context.Background())
	}
	_ = main
}
