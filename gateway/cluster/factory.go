package cluster

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// NewFactory makes the extension `cluster`.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("cluster"), func() component.Config { return createDefaultConfig() }, create, component.StabilityLevelAlpha)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newCluster(cfg.(*Config), set.BuildInfo.Version, set.TelemetrySettings)
}
