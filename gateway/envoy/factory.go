package envoy

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

// NewFactory returns the factory of the receiver envoy. The pipelines that a receiver feeds share it.
func NewFactory() receiver.Factory {
	var shared sharedReceivers
	return receiver.NewFactory(
		component.MustNewType("envoy"),
		func() component.Config { return defaultConfig() },
		receiver.WithMetrics(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
			return shared.get(set, cfg.(*Config), func(r *envoyReceiver) { r.next = next })
		}, component.StabilityLevelDevelopment),
		receiver.WithLogs(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
			return shared.get(set, cfg.(*Config), func(r *envoyReceiver) { r.nextLogs = next })
		}, component.StabilityLevelDevelopment),
	)
}

// sharedReceivers are the receivers that are not shut down, by their configuration. The Collector makes one for each kind of
// pipeline, and starts and stops each of them.
type sharedReceivers struct {
	mu  sync.Mutex
	all map[*Config]*sharedReceiver
}

type sharedReceiver struct {
	*envoyReceiver
	start, stop      sync.Once
	started, stopped error
	forget           func()
}

func (s *sharedReceivers) get(set receiver.Settings, c *Config, feed func(*envoyReceiver)) (*sharedReceiver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.all[c]
	if r == nil {
		own, err := newReceiver(set, c)
		if err != nil {
			return nil, err
		}
		if s.all == nil {
			s.all = map[*Config]*sharedReceiver{}
		}
		r = &sharedReceiver{envoyReceiver: own, forget: func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.all, c)
		}}
		s.all[c] = r
	}
	feed(r.envoyReceiver)
	return r, nil
}

func (r *sharedReceiver) Start(ctx context.Context, host component.Host) error {
	r.start.Do(func() { r.started = r.envoyReceiver.Start(ctx, host) })
	return r.started
}

func (r *sharedReceiver) Shutdown(ctx context.Context) error {
	r.stop.Do(func() {
		r.forget()
		r.stopped = r.envoyReceiver.Shutdown(ctx)
	})
	return r.stopped
}
