package xds

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.uber.org/zap"
)

// Config is the configuration of the xds extension.
type Config struct {
	// ServerConfig are the Collector's own gRPC server settings: endpoint, tls, keepalive and so on.
	configgrpc.ServerConfig `mapstructure:",squash"`

	// Sources are where clusters, their endpoints and machines are known from. What one names another may refer to.
	Sources []SourceConfig `mapstructure:"sources"`

	// Listeners is a file in the form that Envoy reads itself (resources: of one type). Empty: there are none.
	Listeners string `mapstructure:"listeners"`

	// Routes is a file like that of Listeners.
	Routes string `mapstructure:"routes"`

	_ struct{}
}

// SourceConfig is one source.
type SourceConfig struct {
	File string `mapstructure:"file"` // of clusters, of machines, or of both
}

func createDefaultConfig() *Config {
	server := configgrpc.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "localhost:18000"
	// Clients keep their streams open for ever: pings find the ones whose other end is gone.
	keepalive := configgrpc.NewDefaultKeepaliveServerConfig()
	ping := configgrpc.NewDefaultKeepaliveServerParameters()
	ping.Time, ping.Timeout = 30*time.Second, 20*time.Second
	keepalive.ServerParameters = configoptional.Some(ping)
	// They ping, too: gRPC cuts off who does so more often than every five minutes.
	allowed := configgrpc.NewDefaultKeepaliveEnforcementPolicy()
	allowed.MinTime, allowed.PermitWithoutStream = time.Second, true
	keepalive.EnforcementPolicy = configoptional.Some(allowed)
	server.Keepalive = configoptional.Some(keepalive)
	// An Envoy has one stream, or one for each type: who opens more without end is none.
	server.MaxConcurrentStreams = 100
	return &Config{ServerConfig: server, Sources: []SourceConfig{}}
}

// Validate reports all mistakes at once, those in the files with their lines.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Sources) == 0 {
		errs = append(errs, errors.New("sources: there is none: such as [{file: endpoints.yaml}]"))
	}
	keys := map[string]string{}
	once := func(key, file string) {
		if before, ok := keys[file]; ok {
			errs = append(errs, fmt.Errorf("%s: %s is the file of %s already", key, file, before))
		}
		keys[file] = key
	}
	for i, source := range c.Sources {
		key := fmt.Sprintf("sources::%d::file", i)
		if source.File == "" {
			errs = append(errs, fmt.Errorf("%s: missing: a file of clusters and their endpoints, or of machines", key))
			continue
		}
		once(key, source.File)
	}
	if c.Listeners != "" {
		once("listeners", c.Listeners)
	}
	if c.Routes != "" {
		once("routes", c.Routes)
	}
	_, err := openFiles(c, zap.NewNop())
	return errors.Join(append(errs, err)...)
}
