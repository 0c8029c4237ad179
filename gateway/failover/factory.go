package failover

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// NewFactory makes the extension `failover`.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("failover"), createDefaultConfig, create, component.StabilityLevelAlpha)
}

func createDefaultConfig() component.Config {
	return &Config{Safety: DefaultRules().Safety}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newFailover(cfg.(*Config), set.TelemetrySettings)
}
