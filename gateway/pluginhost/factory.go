package pluginhost

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// NewFactory makes the extension `plugins`.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("plugins"), createDefaultConfig, create, component.StabilityLevelAlpha)
}

func createDefaultConfig() component.Config {
	return &Config{StartTimeout: 30 * time.Second}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newHost(cfg.(*Config), set.TelemetrySettings)
}
