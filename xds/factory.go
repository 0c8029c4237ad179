package xds

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// NewFactory makes the extension `xds`.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("xds"), func() component.Config { return createDefaultConfig() }, create, component.StabilityLevelAlpha)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newXDS(cfg.(*Config), set.TelemetrySettings), nil
}
