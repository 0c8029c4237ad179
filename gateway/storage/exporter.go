// Package storage hands metrics and logs to a storage plugin. In: pdata, through the Collector's queue and retry.
// Out: OTLP requests on the plugin's connection. It never changes what it carries, and drops nothing that a later try
// may bring through.
package storage

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// plugins is what the exporter needs of the extension that runs the plugins.
type plugins interface {
	// Conn gives a connection that survives restarts of the plugin, or an error that says which plugins there are.
	Conn(plugin string) (grpc.ClientConnInterface, error)
	// AddQueue has the plugin's report tell of what waits for it: size and capacity in a unit, and how long the oldest has waited.
	AddQueue(plugin, exporter, signal, unit string, state func() (size, capacity int64, oldest time.Duration))
}

// rejectionLogInterval keeps a plugin that rejects a part of each request from filling the log. The metric counts all.
const rejectionLogInterval = time.Minute

type pluginExporter struct {
	plugin   string
	id       component.ID
	signal   string
	unit     string  // of the queue's size: bytes, items or requests; "": there is no queue
	gauges   *gauges // of the queue
	log      *zap.Logger
	ages     *ages // nil where the queue is the Collector's alone
	meter    metric.Meter
	rejected metric.Int64Counter
	labels   metric.MeasurementOption
	loggedAt atomic.Int64 // Unix nanoseconds of the last rejection that was logged

	logged *logged // nil of metrics

	conn     grpc.ClientConnInterface // set by start
	watching []metric.Registration    // set by start
}

// newExporter makes one whose queue is to be made with set as it is afterwards.
func newExporter(c *Config, signal string, set *exporter.Settings) (*pluginExporter, error) {
	plugin, own := c.Plugin, &gauges{MeterProvider: set.MeterProvider}
	set.MeterProvider = own
	meter := own.MeterProvider.Meter("github.com/lockkeeper/lockkeeper/gateway/storage")
	rejected, err := meter.Int64Counter("lockkeeper_plugin_rejected_total",
		metric.WithDescription("Data points or log records that a storage plugin took the rest of the request without."))
	if err != nil {
		return nil, err
	}
	labels := metric.WithAttributes(attribute.String("plugin", plugin), attribute.String("signal", signal))
	rejected.Add(context.Background(), 0, labels)
	e := &pluginExporter{plugin: plugin, id: set.ID, signal: signal, gauges: own, log: set.Logger, meter: meter, rejected: rejected, labels: labels}
	if c.Queue.HasValue() {
		e.unit = c.Queue.Get().Sizer.String()
	}
	return e, nil
}

func (e *pluginExporter) start(_ context.Context, host component.Host) error {
	for _, extension := range host.GetExtensions() {
		if p, ok := extension.(plugins); ok {
			var err error
			if e.conn, err = p.Conn(e.plugin); err != nil {
				return err
			}
			if e.unit != "" {
				p.AddQueue(e.plugin, e.id.String(), e.signal, e.unit, e.waiting)
			}
			return e.watch()
		}
	}
	return errors.New("no extension runs plugins: add plugins to service::extensions")
}

// waiting is how full the queue is, and how long its oldest has waited, as far as it is known.
func (e *pluginExporter) waiting() (size, capacity int64, oldest time.Duration) {
	values := e.gauges.values(context.Background())
	if e.ages != nil {
		oldest = e.ages.oldest()
	}
	return values[queueSize], values[queueCapacity], oldest
}

// watch has the age of the queue measured, and what was logged, until shutdown.
func (e *pluginExporter) watch() error {
	if e.logged != nil {
		registration, err := e.logged.watch(e.meter)
		if err != nil {
			return err
		}
		e.watching = append(e.watching, registration)
	}
	if e.ages == nil {
		return nil
	}
	age, err := e.meter.Float64ObservableGauge("lockkeeper_plugin_queue_age_seconds", metric.WithUnit("s"),
		metric.WithDescription("How long the oldest request has waited that a storage plugin has not taken yet; 0 when none does."))
	if err != nil {
		return err
	}
	registration, err := e.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveFloat64(age, e.ages.oldest().Seconds(), e.labels)
		return nil
	}, age)
	if err != nil {
		return err
	}
	e.watching = append(e.watching, registration)
	return nil
}

func (e *pluginExporter) shutdown(context.Context) error {
	var errs []error
	for _, registration := range e.watching {
		errs = append(errs, registration.Unregister())
	}
	return errors.Join(errs...)
}

func (e *pluginExporter) pushMetrics(ctx context.Context, data pmetric.Metrics) error {
	encoded, err := encodeMetrics(ctx, data)
	if err != nil {
		return permanent(err)
	}
	return e.sendMetrics(ctx, encoded)
}

func (e *pluginExporter) pushLogs(ctx context.Context, data plog.Logs) error {
	encoded, err := encodeLogs(ctx, data)
	if err != nil {
		return permanent(err)
	}
	return e.sendLogs(ctx, encoded)
}

func (e *pluginExporter) sendMetrics(ctx context.Context, r xexporterhelper.Request) error {
	reply, err := e.export(ctx, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", r.(*request).data)
	if err != nil || len(reply) == 0 {
		return err
	}
	response := pmetricotlp.NewExportResponse()
	if err := response.UnmarshalProto(reply); err != nil {
		return permanent(err)
	}
	e.partial(response.PartialSuccess().RejectedDataPoints(), response.PartialSuccess().ErrorMessage())
	return nil
}

func (e *pluginExporter) sendLogs(ctx context.Context, r xexporterhelper.Request) error {
	reply, err := e.export(ctx, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", r.(*request).data)
	if err != nil || len(reply) == 0 {
		return err
	}
	response := plogotlp.NewExportResponse()
	if err := response.UnmarshalProto(reply); err != nil {
		return permanent(err)
	}
	e.partial(response.PartialSuccess().RejectedLogRecords(), response.PartialSuccess().ErrorMessage())
	return nil
}

func (e *pluginExporter) export(ctx context.Context, method string, request []byte) ([]byte, error) {
	var reply []byte
	err := e.conn.Invoke(ctx, method, request, &reply, grpc.ForceCodecV2(rawCodec{}))
	return reply, classify(err)
}

// partial records what the plugin did not take of a request that it took. OTLP forbids to send it again.
func (e *pluginExporter) partial(rejected int64, message string) {
	if rejected == 0 && message == "" {
		return
	}
	e.rejected.Add(context.Background(), rejected, e.labels)
	now, last := time.Now().UnixNano(), e.loggedAt.Load()
	if now-last >= int64(rejectionLogInterval) && e.loggedAt.CompareAndSwap(last, now) {
		e.log.Warn("plugin rejected a part of a request", zap.String("plugin", e.plugin), zap.Int64("rejected", rejected), zap.String("message", message))
	}
}
