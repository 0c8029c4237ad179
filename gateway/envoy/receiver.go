// Package envoy is the Collector's receiver for Envoy's access-log service (ALS, v3).
//
// In come streams of access-log entries on one gRPC port. Out go Istio's standard metrics, counted by package mesh, at every
// flush interval, and the entries that the configuration chooses as log records. It never answers a stream.
package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that ours wraps
	"google.golang.org/grpc/experimental"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// requestBytes bounds one request to the next consumer.
const requestBytes = 2 << 20

type envoyReceiver struct {
	config     *Config
	set        receiver.Settings
	next       consumer.Metrics // nil: no pipeline of this kind
	nextLogs   consumer.Logs    // nil: no pipeline of this kind
	report     *receiverhelper.ObsReport
	aggregator *mesh.Aggregator
	stats      *stats.Sink
	coverage   *coverage
	keeper     *keeper
	reports    *nodeReports
	storage    metricStorage // nil: there is none
	idc        mesh.IDCSource
	refused    atomic.Int64 // streams ended for what they sent
	telemetry  []metric.Registration
	recorder   *recorder // since Start
	watchers   watchers
	tails      *live
	taps       taps
	recordings *live
	senders    senders
	sinks      []evidenceSink
	pictures   pictures
	steady     steady

	refusedStats atomic.Int64 // the same of stats

	server *grpc.Server
	stop   context.CancelFunc // ends the flush loop
	tasks  sync.WaitGroup
}

func newReceiver(set receiver.Settings, c *Config) (*envoyReceiver, error) {
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "grpc", ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	aggregator := mesh.New(mesh.Options{MaxSeries: c.Series.Max, Idle: c.Series.Idle, Reporters: c.Reporters, Drop: c.Series.Drop, Ingress: c.Ingress}, now)
	coverage := newCoverage(aggregator.Received, c.Series.Idle, now)
	kept, err := newStats(c, coverage.sample, now)
	if err != nil {
		return nil, err
	}
	r := &envoyReceiver{
		config: c, set: set, report: report, idc: mesh.IDCSource(c.IDC), aggregator: aggregator,
		stats: kept, coverage: coverage,
		keeper: &keeper{coverage: coverage, logger: set.Logger}, reports: newNodeReports(now),
		tails: newLive("tail"), recordings: newLive("record"),
	}
	r.watchers.observe = r.aggregator.Observe
	return r, nil
}

// handlers is what the receiver needs of an extension that serves HTTP: the console.
type handlers interface {
	Handle(pattern string, h http.Handler)
}

func (r *envoyReceiver) Start(ctx context.Context, host component.Host) error {
	err := r.keeper.open(ctx, host, r.config.Storage, r.set.ID, time.Now())
	if err != nil {
		return err
	}
	r.server, err = r.config.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings, r.serverOptions()...)
	if err != nil {
		return err
	}
	r.server.RegisterService(accessLogService(r.accessLogs), nil)
	r.server.RegisterService(metricsService(r.envoyStats), nil)
	r.recorder = newRecorder(r)
	if !r.recorder.idle() {
		r.watchers.add(r.recorder)
	}
	for _, observe := range []func(metric.Meter) (metric.Registration, error){r.observe, r.observeStats} {
		registration, err := observe(r.set.MeterProvider.Meter("github.com/lockkeeper/lockkeeper/gateway/envoy"))
		if err != nil {
			return err
		}
		r.telemetry = append(r.telemetry, registration)
	}
	listener, err := r.config.NetAddr.Listen(ctx)
	if err != nil {
		return fmt.Errorf("%w: stop what listens there, or set another receivers::%s::endpoint", err, r.set.ID)
	}
	for _, extension := range host.GetExtensions() {
		if console, ok := extension.(handlers); ok {
			console.Handle("GET /api/v1/edges", http.HandlerFunc(r.edges))
			console.Handle("GET /api/v1/mesh", http.HandlerFunc(r.meshNow))
			console.Handle("GET /api/v1/mesh/edge", http.HandlerFunc(r.meshEdge))
			console.Handle("GET /api/v1/tail", http.HandlerFunc(r.tailEntries))
			console.Handle("GET /api/v1/record", http.HandlerFunc(r.recordMessages))
			console.Handle("GET /api/v1/doctor", http.HandlerFunc(r.examine))
			console.Handle("GET /api/v1/nodes", http.HandlerFunc(r.listNodes))
			console.Handle("GET /api/v1/cardinality", http.HandlerFunc(r.cardinality))
			console.Handle("GET /api/v1/explain", http.HandlerFunc(explainFlags))
		}
		if s, ok := extension.(metricStorage); ok {
			r.storage = s
		}
	}
	r.watch(host.GetExtensions())
	r.steady.watch(host.GetExtensions())
	r.tasks.Go(func() {
		if err := r.server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	var loop context.Context
	loop, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.tasks.Go(func() { r.flushUntil(loop) })
	if len(r.sinks) > 0 {
		r.tasks.Go(func() { r.tellEvidence(loop) })
	}
	if !r.recorder.idle() {
		r.tasks.Go(func() { r.recorder.run(loop) })
	}
	return nil
}

func (r *envoyReceiver) serverOptions() (options []configgrpc.ToServerOption) {
	var pool buffers
	add := func(o grpc.ServerOption) { options = append(options, configgrpc.WithGrpcServerOption(o)) }
	add(experimental.BufferPool(&pool))
	add(grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto"), &pool}))
	add(grpc.InitialWindowSize(1 << 20))
	add(grpc.InitialConnWindowSize(1 << 20))
	add(grpc.WaitForHandlers(true)) // so that the last flush has all that was read
	if r.config.TLS.HasValue() && r.config.ReadBufferSize == defaultReadBuffer {
		// TLS reads whole records into a buffer of its own. One more would be held by each connection, as idle as it may be: only
		// without TLS can gRPC wait for data first and take a buffer then.
		add(grpc.ReadBufferSize(0))
	}
	return options
}

// Shutdown ends the streams and flushes what they had counted.
func (r *envoyReceiver) Shutdown(ctx context.Context) error {
	r.tails.close()
	r.steady.stop()
	defer r.recordings.close() // after the streams, of which it has all then
	if r.server != nil {
		r.server.Stop()
	}
	for _, registration := range r.telemetry {
		_ = registration.Unregister() // fails only for a foreign registration
	}
	if r.stop == nil {
		return r.keeper.close(ctx)
	}
	r.stop()
	r.tasks.Wait()
	return errors.Join(r.flush(ctx, time.Now()), r.recorder.flush(ctx), r.keeper.close(ctx))
}

func (r *envoyReceiver) flushUntil(ctx context.Context) {
	tick := time.NewTicker(r.config.FlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := r.flush(ctx, now); err != nil {
				r.set.Logger.Warn("flush refused; these series come again with the next one", zap.Error(err))
			}
		}
	}
}

func (r *envoyReceiver) flush(ctx context.Context, now time.Time) error {
	return r.keeper.flush(ctx, now, func() error {
		return errors.Join(r.flushStats(ctx, now), r.flushEntries(ctx, now), r.flushNodes(ctx, now))
	})
}

func (r *envoyReceiver) flushEntries(ctx context.Context, now time.Time) error {
	return r.aggregator.Flush(now, mesh.Exporter{
		MaxWeight: requestBytes, SeriesWeight: weight, CounterWeight: counterWeight,
		Series: func(batch []mesh.Series) error {
			if r.config.RequestsFrom != "als" {
				return nil // they come from the stats sink
			}
			return r.consume(ctx, "als", r.metrics(batch, now))
		},
		Counters: func(batch []mesh.Counter) error { return r.consume(ctx, "als", r.counters(batch, now)) },
	})
}

// consume hands metrics on, which are the next consumer's from then on.
func (r *envoyReceiver) consume(ctx context.Context, format string, metrics pmetric.Metrics) error {
	if r.next == nil {
		return nil
	}
	op := r.report.StartMetricsOp(ctx)
	points := metrics.DataPointCount()
	err := r.next.ConsumeMetrics(ctx, metrics)
	r.report.EndMetricsOp(op, format, points, err)
	return err
}

// edges answers with who called whom in the last minute.
func (r *envoyReceiver) edges(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // the client is gone if this fails
		WindowSeconds float64     `json:"window_seconds"`
		At            time.Time   `json:"at"`
		Edges         []mesh.Edge `json:"edges"`
	}{mesh.EdgeWindow.Seconds(), now.UTC(), r.aggregator.Edges(now)})
}
