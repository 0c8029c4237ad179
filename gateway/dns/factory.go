package dns

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// NewFactory makes the extension `dns`. Its ports are kept for the next one that it makes; nil: they are closed at the shutdown.
func NewFactory(kept *Ports) extension.Factory {
	create := func(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
		return newServer(cfg.(*Config), set.TelemetrySettings, kept), nil
	}
	return extension.NewFactory(component.MustNewType("dns"), func() component.Config { return createDefaultConfig() }, create, component.StabilityLevelAlpha)
}
