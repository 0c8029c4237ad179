package probes

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"
)

// probesReceiver runs the engine inside the Collector.
type probesReceiver struct {
	config *Config
	set    receiver.Settings
	next   consumer.Metrics
	report *receiverhelper.ObsReport

	engine *engine
	stop   context.CancelFunc
	tasks  sync.WaitGroup
}

// answerer is an extension that serves DNS: what it answers now for a name.
type answerer interface {
	Answers(name string, qtype uint16) (addresses []netip.Addr, known bool)
}

func newReceiver(set receiver.Settings, c *Config, next consumer.Metrics) (*probesReceiver, error) {
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "probe", ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	return &probesReceiver{config: c, set: set, next: next, report: report}, nil
}

// Start opens what the modules need. Whatever is wrong shows now, and not at the first probe.
func (r *probesReceiver) Start(ctx context.Context, host component.Host) error {
	modules, err := r.config.usedModules()
	if err != nil {
		return err
	}
	t, err := newTelemetry(r.set.MeterProvider)
	if err != nil {
		return err
	}
	around := surroundings{log: r.set.Logger}
	for _, extension := range host.GetExtensions() {
		if dns, ok := extension.(answerer); ok {
			around.answers = dns.Answers
		}
	}
	if r.engine, err = newEngine(modules, around, observersOf(host), t); err != nil {
		return err
	}
	r.engine.gateway = r.config.Gateway
	for _, extension := range host.GetExtensions() {
		if console, ok := extension.(mux); ok {
			r.serve(console)
		}
	}
	loop, stop := context.WithCancel(context.WithoutCancel(ctx))
	watch := func() {}
	if r.config.Machines.File == "" {
		r.engine.set(r.config.Targets)
	} else if watch, err = watchMachines(loop, r.config, r.set.TelemetrySettings, func(machines []Target) {
		r.engine.set(slices.Concat(r.config.Targets, machines))
	}); err != nil {
		stop()
		r.engine.run(loop) // which only closes what is open
		return err
	}
	r.stop = stop
	r.tasks.Go(watch)
	r.tasks.Go(func() { r.engine.run(loop) })
	r.tasks.Go(func() { r.flushUntil(loop) })
	return nil
}

// Shutdown ends the probes under way, which tell nothing any more.
func (r *probesReceiver) Shutdown(ctx context.Context) error {
	if r.stop == nil {
		return nil
	}
	r.stop()
	r.tasks.Wait()
	return r.flush(ctx, time.Now())
}

func (r *probesReceiver) flushUntil(ctx context.Context) {
	tick := time.NewTicker(r.config.FlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := r.flush(ctx, now); err != nil {
				r.set.Logger.Warn("flush refused; the next one tells what holds then", zap.Error(err))
			}
			for module, err := range r.engine.problems() {
				r.set.Logger.Warn("probes cannot be made: this machine hinders them", zap.String("module", module), zap.Error(err))
			}
		}
	}
}

func (r *probesReceiver) flush(ctx context.Context, now time.Time) error {
	var errs []error
	for _, metrics := range r.engine.flush(now) {
		op := r.report.StartMetricsOp(ctx)
		points := metrics.DataPointCount()
		err := r.next.ConsumeMetrics(ctx, metrics)
		r.report.EndMetricsOp(op, "probes", points, err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
