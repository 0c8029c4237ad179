package sdk

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// Alerting is an open alerting plugin. Its rules are its own configuration.
type Alerting struct {
	// Evaluate evaluates the rules until ctx ends, and sends what fires: each alert at least once a minute, and once
	// more with EndsAt in the past when it is over. It is called again after it has returned, one call at a time; an
	// error that is not marked Permanent is one that a later call may not meet. send may be called concurrently.
	Evaluate func(ctx context.Context, s Source, send func([]Alert) error) error

	// Health returns nil while the plugin can do its work. Nil: always.
	Health func(ctx context.Context) error

	// Stop closes the plugin, in less than 5 seconds. It is called once, after Evaluate has returned.
	// Nil: there is nothing to close.
	Stop func(ctx context.Context) error
}

func (a *Alerting) describe(info *pluginv1.InfoResponse) { info.Kind = "alerting" }
func (a *Alerting) health(ctx context.Context) error     { return call(ctx, a.Health) }
func (a *Alerting) stop(ctx context.Context) error       { return call(ctx, a.Stop) }

// OpenAlerting opens an alerting plugin. An error that is not marked Permanent is tried again.
type OpenAlerting func(ctx context.Context, c Config) (*Alerting, error)

// Source is where an alerting plugin finds what it evaluates.
type Source struct {
	QueryURL       string // base URL of the Prometheus HTTP API, without a slash at the end
	RemoteWriteURL string // takes Prometheus remote write; empty: nothing does
}

// Alert is one alert in Prometheus's model. Its labels are its identity.
type Alert struct {
	Labels       map[string]string
	Annotations  map[string]string
	StartsAt     time.Time
	EndsAt       time.Time // when it ends unless it is sent again; in the past: it has ended
	GeneratorURL string
}

type alertingServer struct {
	pluginv1.UnimplementedAlertingServer
	life *life[*Alerting]
	turn chan struct{} // held by the evaluation under way

	mu   sync.Mutex
	quit context.CancelFunc // ends the evaluation under way
}

// Start ends the evaluation that is under way, which belongs to a caller that is gone, and begins another.
func (s *alertingServer) Start(r *pluginv1.StartRequest, stream grpc.ServerStreamingServer[pluginv1.Alerts]) error {
	ctx, quit := context.WithCancel(stream.Context())
	defer quit()
	defer context.AfterFunc(s.life.ending, quit)()
	s.mu.Lock()
	if s.quit != nil {
		s.quit()
	}
	s.quit = quit
	s.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	var sending sync.Mutex
	return s.life.use(func(plugin *Alerting) error {
		return plugin.Evaluate(ctx, Source{QueryURL: r.GetQueryUrl(), RemoteWriteURL: r.GetRemoteWriteUrl()}, func(alerts []Alert) error {
			message := &pluginv1.Alerts{Alerts: make([]*pluginv1.Alert, len(alerts))}
			for i, a := range alerts {
				message.Alerts[i] = a.wire()
			}
			sending.Lock()
			defer sending.Unlock()
			return stream.Send(message)
		})
	})
}

func (a *Alert) wire() *pluginv1.Alert {
	on := &pluginv1.Alert{Labels: a.Labels, Annotations: a.Annotations, GeneratorUrl: a.GeneratorURL}
	if !a.StartsAt.IsZero() {
		on.StartsAt = timestamppb.New(a.StartsAt)
	}
	if !a.EndsAt.IsZero() {
		on.EndsAt = timestamppb.New(a.EndsAt)
	}
	return on
}
