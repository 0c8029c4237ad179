package alerting

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// NewFactory makes the extension `alerting`.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("alerting"), createDefaultConfig, create, component.StabilityLevelAlpha)
}

func createDefaultConfig() component.Config {
	return &Config{ExternalURL: "http://localhost:7070", MaxAlerts: 50_000, PeerTimeout: 15 * time.Second}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newAlerting(cfg.(*Config), set.TelemetrySettings)
}
