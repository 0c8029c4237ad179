package storage

import (
	"errors"

	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// Config is the configuration of a plugin exporter.
type Config struct {
	// Plugin is the name of a storage plugin under plugins::processes.
	Plugin string `mapstructure:"plugin"`

	// Timeout bounds one request.
	Timeout exporterhelper.TimeoutConfig `mapstructure:",squash"`

	// Queue holds what the plugin has not taken yet.
	Queue configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`

	// Retry is for requests that a later try may bring through.
	Retry configretry.BackOffConfig `mapstructure:"retry_on_failure"`
}

// Validate reports a missing plugin name; the parts validate themselves.
func (c *Config) Validate() error {
	if c.Plugin == "" {
		return errors.New("plugin: missing: name one of extensions::plugins::processes")
	}
	return nil
}

// batches tells whether the queue merges and splits requests, for which they have to be decoded.
func (c *Config) batches() bool { return c.Queue.HasValue() && c.Queue.Get().Batch.HasValue() }
