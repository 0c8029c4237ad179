package console

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
)

// Config is the configuration of the console extension.
type Config struct {
	// Server is the Collector's HTTP server settings: endpoint, tls, timeouts.
	Server confighttp.ServerConfig `mapstructure:",squash"`

	// Tokens say who may change something. Without any, and without Certificates, nobody may; reading needs none.
	Tokens []Token `mapstructure:"tokens"`

	// Certificates let the holders of client certificates change something, as Tokens do their bearers.
	Certificates []Certificate `mapstructure:"certificates"`
}

// Unmarshal implements confmap.Unmarshaler: the server's own ignores keys that it does not know.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	type server confighttp.ServerConfig // without its Unmarshal
	var strict struct {
		Server       server        `mapstructure:",squash"`
		Tokens       []Token       `mapstructure:"tokens"`
		Certificates []Certificate `mapstructure:"certificates"`
	}
	if err := conf.Unmarshal(&strict); err != nil {
		return err
	}
	c.Tokens, c.Certificates = strict.Tokens, strict.Certificates
	return c.Server.Unmarshal(conf)
}

// Validate reports a missing endpoint, and tokens and certificates that cannot be told apart; the server and each of them validate the rest.
func (c *Config) Validate() error {
	var errs []error
	if c.Server.NetAddr.Endpoint == "" {
		errs = append(errs, errors.New("endpoint: missing: the host:port to listen at, such as localhost:7070"))
	}
	names, values := map[string]bool{}, map[string]string{}
	for _, t := range c.Tokens {
		if names[t.Name] {
			errs = append(errs, fmt.Errorf("tokens: the name %q is there twice: the log could not tell who it was", t.Name))
		} else if other, ok := values[t.value()]; ok {
			errs = append(errs, fmt.Errorf("tokens: %q and %q have the same token: the log could not tell who it was", other, t.Name))
		}
		names[t.Name], values[t.value()] = true, t.Name
	}
	for _, c := range c.Certificates {
		if names[c.Name] {
			errs = append(errs, fmt.Errorf("certificates: the name %q is there twice, here or in tokens: the log could not tell who it was", c.Name))
		}
		names[c.Name] = true
	}
	if tls := c.Server.TLS.Get(); len(c.Certificates) > 0 && (tls == nil || tls.ClientCAFile == "") {
		errs = append(errs, errors.New("certificates: need tls::client_ca_file, which says whose client certificates are believed"))
	}
	return errors.Join(errs...)
}
