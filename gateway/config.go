package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/otelcol"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

//go:embed lockkeeper.yaml
var defaultConfig string

// source says where the configuration comes from: what the flags of a command were.
type source struct {
	configs   []string
	noDefault bool
}

func (s *source) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.configs, "config", nil,
		"file, or yaml:KEY::KEY: VALUE, merged over what comes before it: maps merge, lists replace (repeatable)")
	cmd.Flags().BoolVar(&s.noDefault, "no-default", false, "start from nothing instead of the built-in default")
}

// location is where one part of a configuration is: a name for people and a URI for the Collector.
type location struct{ name, uri string }

// locations are all parts in the order in which they are merged.
func (s *source) locations() ([]location, error) {
	var all []location
	if !s.noDefault {
		all = append(all, location{"the built-in default", "yaml:" + defaultConfig})
	}
	for _, config := range s.configs {
		uri := config
		if scheme, _, _ := strings.Cut(config, ":"); scheme != "file" && scheme != "yaml" && scheme != "env" {
			uri = "file:" + config
		}
		all = append(all, location{config, uri})
	}
	if len(all) == 0 {
		return nil, usageError{errors.New("--no-default needs at least one --config")}
	}
	return all, nil
}

// configuration is a configuration that was found valid, as it was at that moment.
type configuration struct {
	settings  otelcol.CollectorSettings
	resolved  *confmap.Conf // as written and merged: without the components' defaults, with secrets
	effective *confmap.Conf // with the components' defaults, secrets redacted
}

// readConfiguration reads and checks a configuration. Nothing is started. All mistakes of the components' sections are reported at once.
func readConfiguration(ctx context.Context, s *source) (*configuration, error) {
	locations, err := s.locations()
	if err != nil {
		return nil, err
	}
	memory := snapshot{}
	var written origins
	for _, l := range locations {
		conf, err := resolve(ctx, settings([]location{l}, memory))
		if err != nil {
			text := strings.TrimPrefix(err.Error(), "cannot retrieve the configuration: ")
			text = strings.TrimPrefix(text, "retrieved value (type=string) cannot be used as a Conf: assuming string type since contents are ")
			return nil, mistake(l.name, nil, text)
		}
		written = append(written, part{l.name, conf})
	}
	c := &configuration{settings: settings(locations, memory)}
	if c.resolved, err = resolve(ctx, c.settings); err != nil {
		return nil, err
	}
	factories, err := components()
	if err != nil {
		return nil, err
	}
	if err := check(c.resolved, factories, written); err != nil {
		return nil, err
	}
	collector, err := otelcol.NewCollector(c.settings)
	if err != nil {
		return nil, err
	}
	if err := collector.DryRun(ctx); err != nil {
		return nil, written.explain(nil, err)
	}
	c.effective, err = effective(ctx, c.settings, factories)
	return c, err
}

func resolve(ctx context.Context, set otelcol.CollectorSettings) (*confmap.Conf, error) {
	resolver, err := confmap.NewResolver(set.ConfigProviderSettings.ResolverSettings)
	if err != nil {
		return nil, err
	}
	return resolver.Resolve(ctx)
}

// effective adds the components' defaults to a configuration, and redacts its secrets.
func effective(ctx context.Context, set otelcol.CollectorSettings, factories otelcol.Factories) (*confmap.Conf, error) {
	provider, err := otelcol.NewConfigProvider(set.ConfigProviderSettings)
	if err != nil {
		return nil, err
	}
	parsed, err := provider.Get(ctx, factories)
	if err != nil {
		return nil, err
	}
	conf := confmap.New()
	if err := conf.Marshal(parsed); err != nil {
		return nil, fmt.Errorf("marshal the configuration: %w", err)
	}
	return conf, nil
}

// settings reads the locations through a snapshot: whoever uses them later gets the same configuration again.
func settings(locations []location, memory snapshot) otelcol.CollectorSettings {
	uris := make([]string, len(locations))
	for i, l := range locations {
		uris[i] = l.uri
	}
	return otelcol.CollectorSettings{
		Factories:               components,
		BuildInfo:               component.BuildInfo{Command: "lockkeeper", Description: "Observability gateway for Envoy and Istio", Version: version},
		DisableGracefulShutdown: true, // run handles the signals
		LoggingOptions:          []zap.Option{zap.WrapCore(func(core zapcore.Core) zapcore.Core { return quiet{core} })},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs:          uris,
			DefaultScheme: "env",
			ProviderFactories: []confmap.ProviderFactory{
				memory.of(envprovider.NewFactory()), memory.of(fileprovider.NewFactory()), memory.of(yamlprovider.NewFactory()),
			},
			ConverterFactories: []confmap.ConverterFactory{
				confmap.NewConverterFactory(func(confmap.ConverterSettings) confmap.Converter { return naming{} }),
			},
		}},
	}
}

// snapshot remembers by URI what providers answered. A configuration that was checked is the one that runs, and the last good
// one can run again after its files have changed.
type snapshot map[string]*confmap.Retrieved

func (s snapshot) of(factory confmap.ProviderFactory) confmap.ProviderFactory {
	return confmap.NewProviderFactory(func(set confmap.ProviderSettings) confmap.Provider {
		return remembering{Provider: factory.Create(set), snapshot: s}
	})
}

type remembering struct {
	confmap.Provider
	snapshot snapshot
}

// Retrieve asks the provider once for each URI. It never watches: a reload is asked for by SIGHUP.
func (r remembering) Retrieve(ctx context.Context, uri string, _ confmap.WatcherFunc) (*confmap.Retrieved, error) {
	if known, ok := r.snapshot[uri]; ok {
		return known, nil
	}
	retrieved, err := r.Provider.Retrieve(ctx, uri, nil)
	if err == nil {
		r.snapshot[uri] = retrieved
	}
	return retrieved, err
}
