package storage

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"google.golang.org/protobuf/encoding/protowire"
)

// NewFactory makes the exporter `plugin`.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("plugin"), createDefaultConfig,
		exporter.WithMetrics(createMetrics, component.StabilityLevelAlpha),
		exporter.WithLogs(createLogs, component.StabilityLevelAlpha),
	)
}

// createDefaultConfig never gives up, and comes back soon: the plugin is a process on the same machine,
// and it is started again in less than two seconds.
func createDefaultConfig() component.Config {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Sizer = exporterhelper.RequestSizerTypeBytes
	queue.QueueSize = 1 << 30
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = 250 * time.Millisecond
	retry.MaxInterval = 5 * time.Second
	retry.MaxElapsedTime = 0
	return &Config{
		Timeout: exporterhelper.TimeoutConfig{Timeout: 30 * time.Second},
		Queue:   configoptional.Some(queue),
		Retry:   retry,
	}
}

func createMetrics(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
	c := cfg.(*Config)
	e, err := newExporter(c, "metrics", &set)
	if err != nil {
		return nil, err
	}
	if c.batches() {
		return exporterhelper.NewMetrics(ctx, set, cfg, e.pushMetrics, append(options(c, e), exporterhelper.WithQueue(c.Queue))...)
	}
	return xexporterhelper.NewMetricsRequest(ctx, set, encodeMetrics, e.sendMetrics, append(options(c, e), queue(c, e, metricsPath()))...)
}

func createLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	c := cfg.(*Config)
	e, err := newExporter(c, "logs", &set)
	if err != nil {
		return nil, err
	}
	e.logged = newLogged(c.Plugin)
	var logs exporter.Logs
	if c.batches() {
		logs, err = exporterhelper.NewLogs(ctx, set, cfg, e.pushLogs, append(options(c, e), exporterhelper.WithQueue(c.Queue))...)
	} else {
		logs, err = xexporterhelper.NewLogsRequest(ctx, set, encodeLogs, e.sendLogs, append(options(c, e), queue(c, e, logsPath()))...)
	}
	return countedLogs{logs, e.logged}, err
}

func options(c *Config, e *pluginExporter) []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithStart(e.start),
		exporterhelper.WithShutdown(e.shutdown),
		exporterhelper.WithTimeout(c.Timeout),
		exporterhelper.WithRetry(c.Retry),
	}
}

// queue is one of requests that stay encoded; path leads to their items.
func queue(c *Config, e *pluginExporter, path [][]protowire.Number) exporterhelper.Option {
	e.ages = newAges()
	return xexporterhelper.WithQueueBatch(c.Queue, xexporterhelper.QueueBatchSettings{
		Encoding: encoding{path: path, ages: e.ages}, ReferenceCounter: e.ages,
	})
}
