package console

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"
)

// NewFactory makes the extension `console`.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("console"), createDefaultConfig, create, component.StabilityLevelAlpha)
}

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "localhost:7070"
	server.ReadHeaderTimeout = 10 * time.Second
	server.WriteTimeout = time.Minute // a query and its whole answer
	return &Config{Server: server}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	c, err := newConsole(cfg.(*Config), set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	c.overview.version, c.whole.version = set.BuildInfo.Version, set.BuildInfo.Version
	return c, nil
}
