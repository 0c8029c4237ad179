package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/otelcol"

	"github.com/lockkeeper/lockkeeper/gateway/dns"
)

func newRunCommand() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:   "run [--config FILE]… [--no-default]",
		Short: "Run the gateway",
		Long: `Run the gateway until SIGINT or SIGTERM.

SIGHUP reloads the configuration. One that is not valid or cannot start changes nothing: the last good one runs on, and
standard error says why.`,
		Example: `  lockkeeper run
  lockkeeper run --config my.yaml
  lockkeeper run --config 'yaml:receivers::envoy::endpoint: 0.0.0.0:9001'`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			r := runner{from: &from, hangups: make(chan os.Signal, 1), stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
			return r.run(cmd.Context())
		}),
	}
	from.addFlags(cmd)
	return cmd
}

// runner keeps one collector running. The Collector's own reload stops what runs before it reads the new configuration, and
// exits if that is bad: here each configuration has a collector of its own, and the last good configuration is kept.
type runner struct {
	from           *source
	hangups        chan os.Signal
	stdout, stderr io.Writer
	ports          dns.Ports // which answer while a reload replaces what is behind them
}

// components are all, with what outlives a reload.
func (r *runner) components() (otelcol.Factories, error) {
	all, err := components()
	if err != nil {
		return all, err
	}
	keeping := dns.NewFactory(&r.ports)
	all.Extensions[keeping.Type()] = keeping
	return all, nil
}

// instance is a collector that has started.
type instance struct {
	collector     *otelcol.Collector
	configuration *configuration
	ended         chan error // what Run returned
}

func (r *runner) run(ctx context.Context) error {
	signal.Notify(r.hangups, syscall.SIGHUP)
	defer signal.Stop(r.hangups)
	defer context.AfterFunc(ctx, r.ports.Close)()
	first, err := readConfiguration(ctx, r.from)
	if err != nil {
		return err
	}
	running, err := r.start(ctx, first)
	if ctx.Err() != nil {
		return nil // stopped while starting
	}
	if err != nil {
		return err
	}
	printPlaces(r.stdout, first)
	for {
		select {
		case <-ctx.Done():
			return running.stop()
		case err := <-running.ended:
			if ctx.Err() != nil { // the collector saw it first
				return err
			}
			return errors.Join(errors.New("a component failed for good: the log says which"), err)
		case <-r.hangups:
			next, err := r.reload(ctx, running)
			if ctx.Err() != nil && next == nil {
				return nil
			}
			if err != nil {
				return err
			}
			running = next
		}
	}
}

// reload returns what runs afterwards. It fails only when not even the last good configuration starts again.
func (r *runner) reload(ctx context.Context, old *instance) (*instance, error) {
	next, err := readConfiguration(ctx, r.from)
	if err != nil {
		r.report("reload: not valid, so nothing has changed", err)
		return old, nil
	}
	if err := old.stop(); err != nil {
		r.report("reload: stopping what ran", err)
	}
	running, err := r.start(ctx, next)
	if err == nil {
		fmt.Fprintln(r.stdout, "reloaded")
		printPlaces(r.stdout, next)
		return running, nil
	}
	running, again := r.start(ctx, old.configuration)
	if again != nil {
		return nil, errors.Join(err, fmt.Errorf("nor does the last good configuration start again: %w", again))
	}
	r.report("reload: it could not start, so the last good configuration runs again", err)
	return running, nil
}

// start returns when all components have started.
func (r *runner) start(ctx context.Context, c *configuration) (*instance, error) {
	settings := c.settings
	settings.Factories = r.components
	collector, err := otelcol.NewCollector(settings)
	if err != nil {
		return nil, err
	}
	i := &instance{collector: collector, configuration: c, ended: make(chan error, 1)}
	go func() { i.ended <- collector.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for collector.GetState() != otelcol.StateRunning {
		select {
		case err := <-i.ended:
			return nil, explainStart(err, c.effective)
		case <-tick.C:
		}
	}
	// Once it runs the collector asks for SIGHUP, to reload by itself. Ignore takes the signal away from it again.
	<-tick.C
	signal.Ignore(syscall.SIGHUP)
	signal.Notify(r.hangups, syscall.SIGHUP)
	r.ports.Release()
	return i, nil
}

func (i *instance) stop() error {
	i.collector.Shutdown()
	return <-i.ended
}

func (r *runner) report(what string, err error) {
	fmt.Fprintf(r.stderr, "%s:\n%v\n", what, err)
}
