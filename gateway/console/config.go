package console

import (
	"errors"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
)

// Config is the configuration of the console extension.
type Config struct {
	// Server is the Collector's HTTP server settings: endpoint, tls, timeouts.
	Server confighttp.ServerConfig `mapstructure:",squash"`
}

// Unmarshal implements confmap.Unmarshaler: the server's own ignores keys that it does not know.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	type server confighttp.ServerConfig // without its Unmarshal
	var strict struct {
		Server server `mapstructure:",squash"`
	}
	if err := conf.Unmarshal(&strict); err != nil {
		return err
	}
	return c.Server.Unmarshal(conf)
}

// Validate reports a missing endpoint; the server validates its other settings.
func (c *Config) Validate() error {
	if c.Server.NetAddr.Endpoint == "" {
		return errors.New("endpoint: missing: the host:port to listen at, such as localhost:7070")
	}
	return nil
}
