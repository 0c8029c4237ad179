package probes

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

// NewFactory returns the factory of the receiver probes.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		component.MustNewType("probes"),
		func() component.Config { return defaultConfig() },
		receiver.WithMetrics(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
			return newReceiver(set, cfg.(*Config), next)
		}, component.StabilityLevelDevelopment),
	)
}
